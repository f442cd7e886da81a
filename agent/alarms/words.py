"""What each trouble of a session means to those who sit beside it, and what to do: in both languages.

Every kind of event that degrades a session is here (tests/agent/alarms/test_words.py), some once for each reason:
`KIND:REASON` comes before `KIND`. `{subject}` is what it happened to: an input, a destination, a folder.
"""

from collections.abc import Mapping

from agent.checks.result import Words

KILLED, SILENT = "recorder-killed", "recorder-silent"
"""Troubles that no session can tell of: its recorder is gone, or says nothing any more."""
DAMAGED = "package-damaged"
"""The trouble of a package of the archive."""

_SOURCES = {
    "source-lost": Words(
        "{subject} terlepas: colokkan kembali. Rekaman tetap berjalan.",
        "{subject} is unplugged: plug it in again. The recording goes on.",
    ),
    "source-missing": Words(
        "{subject} tidak ada: periksa kabelnya dan colokkan. Rekaman tetap berjalan tanpanya.",
        "{subject} is missing: check its cable and plug it in. The recording goes on without it.",
    ),
    "source-missing:busy": Words(
        "{subject} dipakai program lain: tutup program itu. Rekaman tetap berjalan tanpanya.",
        "{subject} is used by another program: close that. The recording goes on without it.",
    ),
    "source-missing:denied": Words(
        "{subject} tidak boleh dibuka oleh Liput: hubungi IT. Rekaman tetap berjalan tanpanya.",
        "Liput may not open {subject}: call IT. The recording goes on without it.",
    ),
    "source-missing:bus-full": Words(
        "Jalur USB {subject} penuh: pindahkan ke port USB lain. Rekaman tetap berjalan tanpanya.",
        "The USB bus of {subject} is full: move it to another port. The recording goes on without it.",
    ),
    "source-missing:silent": Words(
        "{subject} tidak mengirim apa-apa: periksa kabelnya, lalu cabut dan colokkan kembali. Rekaman tetap berjalan.",
        "{subject} gives nothing: check its cable, then unplug it and plug it in again. The recording goes on.",
    ),
    "source-silent": Words(
        "{subject} berhenti mengirim: periksa kabelnya, lalu cabut dan colokkan kembali. Rekaman tetap berjalan.",
        "{subject} has stopped sending: check its cable, then unplug it and plug it in again. The recording goes on.",
    ),
    "source-hung": Words(
        "{subject} macet: cabut, tunggu lima detik, colokkan kembali. Rekaman tetap berjalan.",
        "{subject} hangs: unplug it, wait five seconds, plug it in again. The recording goes on.",
    ),
    "source-busy": Words(
        "{subject} dipakai program lain: tutup program itu. Rekaman tetap berjalan tanpanya.",
        "{subject} is used by another program: close that. The recording goes on without it.",
    ),
    "source-denied": Words(
        "{subject} tidak boleh dibuka oleh Liput: hubungi IT. Rekaman tetap berjalan tanpanya.",
        "Liput may not open {subject}: call IT. The recording goes on without it.",
    ),
    "source-bus-full": Words(
        "Jalur USB {subject} penuh: pindahkan ke port USB lain. Rekaman tetap berjalan tanpanya.",
        "The USB bus of {subject} is full: move it to another port. The recording goes on without it.",
    ),
}

_PICTURE_AND_SOUND = {
    "source-no-signal": Words(
        "{subject} tanpa sinyal: periksa kabel HDMI dan nyalakan perangkat di ujungnya. Rekaman tetap berjalan.",
        "{subject} has no signal: check the HDMI cable, and turn on what is at its other end. The recording goes on.",
    ),
    "source-frozen": Words(
        "Gambar {subject} membeku: matikan lalu nyalakan kameranya, atau cabut dan colokkan kembali.",
        "The picture of {subject} stands still: turn the camera off and on, or unplug it and plug it in again.",
    ),
    "source-black": Words(
        "Gambar {subject} hitam: buka tutup lensanya dan periksa lampu ruangan.",
        "The picture of {subject} is black: take off the lens cap, and look at the lights of the room.",
    ),
    "source-silence": Words(
        "{subject} tidak bersuara: nyalakan mikrofonnya, periksa baterai dan tombol bisu.",
        "There is no sound from {subject}: turn the microphone on, check its battery and its mute switch.",
    ),
    "source-dead-channel": Words(
        "Satu saluran suara {subject} mati: periksa kabel dan colokannya.",
        "One channel of the sound of {subject} is dead: check its cable and plugs.",
    ),
    "source-damaged": Words(
        "Gambar {subject} rusak: ganti kabel USB-nya, atau pindahkan ke port lain.",
        "The picture of {subject} is damaged: change its USB cable, or move it to another port.",
    ),
    "source-slow": Words(
        "Gambar {subject} terlalu lambat: nyalakan lampu, atau pindahkan ke port USB yang lebih cepat.",
        "{subject} sends too few pictures: turn on more light, or move it to a faster USB port.",
    ),
    "picture-damaged": Words(
        "Ada gambar {subject} yang rusak: bila berulang, ganti kabel USB-nya.",
        "Some pictures of {subject} are damaged: if it goes on, change its USB cable.",
    ),
    "frames-dropped": Words(
        "Sebagian gambar {subject} tidak terekam: tutup program lain di PC ini.",
        "Some pictures of {subject} were not recorded: close other programs on this PC.",
    ),
    "sound-gap": Words(
        "Suara {subject} sempat terputus: periksa kabelnya.",
        "The sound of {subject} was interrupted: check its cable.",
    ),
    "sound-lost": Words(
        "Sebagian suara {subject} hilang: tutup program lain di PC ini.",
        "Some sound of {subject} was lost: close other programs on this PC.",
    ),
    "isolated-failed": Words(
        "{subject} tidak lagi direkam terpisah: hubungi IT. Rekaman utama tetap berjalan.",
        "{subject} is not recorded apart any more: call IT. The main recording goes on.",
    ),
    "isolated-dropped": Words(
        "Sebagian gambar rekaman terpisah {subject} hilang: tutup program lain. Rekaman utama tidak terganggu.",
        "Pictures are missing in the recording of {subject} alone: close other programs. The main recording is whole.",
    ),
}

_DISKS = {
    "recording-stalled": Words(
        "Disk {subject} tidak menulis rekaman: jangan matikan PC, hubungi IT sekarang.",
        "The disk of {subject} does not write the recording: leave the PC on, and call IT now.",
    ),
    "recording-failed": Words(
        "Rekaman BERHENTI karena disknya tidak menerima: hubungi IT, lalu mulai sesi baru.",
        "The recording has STOPPED because its disk takes no more: call IT, then begin a new session.",
    ),
    "recording-gap": Words(
        "Ada bagian rekaman yang hilang saat pindah disk ({subject}): catat, dan beri tahu IT sesudah acara.",
        "A part of the recording is missing from the change of disks ({subject}): note it, and tell IT afterwards.",
    ),
    "disk-critical": Words(
        "Disk {subject} hampir penuh, tinggal beberapa menit: kosongkan ruang atau pasang disk lain sekarang.",
        "The disk of {subject} is nearly full, minutes are left: free space or plug in another disk now.",
    ),
    "storage-full": Words(
        "Disk {subject} penuh: pasang atau kosongkan disk, dan periksa bahwa rekaman masih berjalan.",
        "The disk of {subject} is full: plug in or empty one, and see that the recording still goes on.",
    ),
    "storage-read-only": Words(
        "Disk {subject} hanya bisa dibaca: hubungi IT, dan periksa bahwa rekaman masih berjalan.",
        "The disk of {subject} can only be read: call IT, and see that the recording still goes on.",
    ),
    "storage-failed": Words(
        "Disk {subject} rusak: hubungi IT, dan periksa bahwa rekaman masih berjalan.",
        "The disk of {subject} fails: call IT, and see that the recording still goes on.",
    ),
    "storage-vanished": Words(
        "Disk {subject} tercabut: pasang kembali, dan periksa bahwa rekaman masih berjalan.",
        "The disk of {subject} is gone: plug it in again, and see that the recording still goes on.",
    ),
    "storage-stalled": Words(
        "Disk {subject} macet: jangan cabut, hubungi IT, dan periksa bahwa rekaman masih berjalan.",
        "The disk of {subject} hangs: do not pull it out, call IT, and see that the recording still goes on.",
    ),
    "storage-refused": Words(
        "Tidak bisa merekam ke {subject}: pasang disknya, atau hubungi IT.",
        "Nothing can be recorded to {subject}: plug in its disk, or call IT.",
    ),
    "guard-failed": Words(
        "Disk tidak lagi diawasi: hubungi IT. Rekaman tetap berjalan.",
        "The disks are not watched any more: call IT. The recording goes on.",
    ),
    "parts-apart": Words(
        "Rekaman tersimpan dalam beberapa bagian: semuanya ada, IT dapat menyambungnya.",
        "The recording is in several parts: all of it is there, and IT can join them.",
    ),
    "part-left": Words(
        "Sebagian rekaman masih di {subject}: jangan hapus, hubungi IT.",
        "A part of the recording is still in {subject}: delete nothing, and call IT.",
    ),
}

_SESSION = {
    "start-failed": Words(
        "Rekaman {subject} TIDAK dimulai: periksa disk dan ruang kosongnya, lalu tekan mulai lagi.",
        "The recording of {subject} has NOT begun: check the disk and its free space, then press start again.",
    ),
    "session-failed": Words(
        "Sesi GAGAL: yang sudah terekam tersimpan. Mulai sesi baru, lalu hubungi IT.",
        "The session has FAILED: what was recorded is kept. Begin a new session, then call IT.",
    ),
    "sealing-failed": Words(
        "Rekaman {subject} belum masuk arsip: rekamannya utuh, hubungi IT.",
        "The recording of {subject} is not in the archive yet: it is whole, call IT.",
    ),
    "sink-failed": Words(
        "Keluaran {subject} berhenti: tambahkan kembali bila diperlukan. Rekaman tetap berjalan.",
        "The output {subject} has stopped: add it again if it is needed. The recording goes on.",
    ),
    "conference-lost": Words(
        "Konferensi tidak menerima {subject} dari Liput: pilih ulang perangkat Liput di Zoom atau Meet.",
        "The conference gets no {subject} from Liput: choose Liput again in Zoom or Meet.",
    ),
    "stream-encode-late": Words(
        "PC ini kewalahan, siaran patah-patah: tutup program lain. Rekaman tidak terganggu.",
        "This PC does not keep up, the stream stutters: close other programs. The recording is not affected.",
    ),
    "stream-encode-failed": Words(
        "Pengodean siaran sempat gagal: lihat hasilnya di layar penonton. Rekaman tidak terganggu.",
        "The stream's own encode has failed once: look at what viewers see. The recording is not affected.",
    ),
    KILLED: Words(
        "Perekam {subject} berhenti mendadak: Liput melanjutkannya sendiri. Tunggu lampu rekam menyala.",
        "The recorder of {subject} has ended abruptly: Liput goes on by itself. Wait for the record light.",
    ),
    SILENT: Words(
        "Perekam {subject} tidak menjawab: jangan matikan PC, hubungi IT.",
        "The recorder of {subject} does not answer: leave the PC on, and call IT.",
    ),
}

_NETWORK = Words(
    "Siaran ke {subject} terputus: periksa kabel jaringan dan internet. Rekaman tetap berjalan.",
    "The stream to {subject} is interrupted: check the network cable and the internet. The recording goes on.",
)
_SERVER = Words(
    "Server siaran {subject} tidak menerima: periksa halaman siarannya, atau hubungi IT. Rekaman tetap berjalan.",
    "The server of {subject} does not take the stream: look at its page, or call IT. The recording goes on.",
)
_FOLDER = Words(
    "Folder siaran {subject} tidak bisa ditulis: pasang disknya, atau hubungi IT. Rekaman tetap berjalan.",
    "The folder of {subject} cannot be written to: mount its disk, or call IT. The recording goes on.",
)

_DESTINATIONS = {
    "destination-lost": _NETWORK,
    "destination-lost:refused": _SERVER,
    "destination-lost:certificate": Words(
        "Sertifikat server {subject} tidak dipercaya: periksa tanggal PC ini, lalu hubungi IT. Rekaman tetap berjalan.",
        "The certificate of {subject} is not trusted: check this PC's date, then call IT. The recording goes on.",
    ),
    "destination-lost:tls": _SERVER,
    "destination-lost:rejected": Words(
        "{subject} menolak siaran: kunci siarannya salah, perbarui lalu sambungkan ulang. Rekaman tetap berjalan.",
        "{subject} rejects the stream: its key is wrong, renew it and connect again. The recording goes on.",
    ),
    "destination-lost:already-publishing": Words(
        "Kunci siaran {subject} sedang dipakai: hentikan siaran lain itu. Rekaman tetap berjalan.",
        "Somebody streams with the key of {subject} already: end that stream. The recording goes on.",
    ),
    "destination-lost:caller-left": Words(
        "Penerima siaran {subject} memutus: minta menyambung lagi. Rekaman tetap berjalan.",
        "Whoever took the stream {subject} has gone: ask them to call again. The recording goes on.",
    ),
    "destination-lost:folder-missing": _FOLDER,
    "destination-lost:not-writable": _FOLDER,
    "destination-lost:disk-full": Words(
        "Disk siaran {subject} penuh: kosongkan. Rekaman tetap berjalan.",
        "The disk of the stream {subject} is full: empty it. The recording goes on.",
    ),
    "destination-lost:disk-failed": _FOLDER,
    "destination-lost:failed": Words(
        "Siaran ke {subject} gagal di PC ini: sambungkan ulang, atau hubungi IT. Rekaman tetap berjalan.",
        "Streaming to {subject} fails on this PC: connect it again, or call IT. The recording goes on.",
    ),
    "destination-slow": Words(
        "Internet terlalu lambat untuk siaran {subject}: hentikan unduhan lain. Rekaman tetap berjalan.",
        "The internet is too slow for the stream to {subject}: stop other downloads. The recording goes on.",
    ),
    "destination-dropped": Words(
        "Sebagian gambar siaran {subject} terbuang: periksa internet. Rekaman tidak terganggu.",
        "Pictures of the stream to {subject} were dropped: check the internet. The recording is not affected.",
    ),
    "destination-forgotten": Words(
        "Alamat siaran {subject} hilang setelah perekam dimulai ulang: tambahkan lagi. Rekaman tetap berjalan.",
        "The address of {subject} was lost when the recorder began anew: add it again. The recording goes on.",
    ),
}

_ARCHIVE = {
    DAMAGED: Words(
        "Paket {subject} di arsip rusak: hubungi IT untuk memulihkannya dari salinan.",
        "The package {subject} of the archive is damaged: have IT restore it from a copy.",
    ),
}

SENTENCES: Mapping[str, Words] = {
    **_SOURCES, **_PICTURE_AND_SOUND, **_DISKS, **_SESSION, **_DESTINATIONS, **_ARCHIVE,
}  # fmt: skip
"""By kind, or kind and reason."""

UNKNOWN = Words(
    "Ada gangguan pada {subject}: lihat halaman Liput.",
    "Something is wrong with {subject}: look at Liput's page.",
)
"""Of a recorder that is newer than this program."""


def sentence(kind: str, subject: str, reason: object = None) -> Words:
    """Return what to tell people of a trouble, and what to do about it."""
    words = SENTENCES.get(f"{kind}:{reason}") or SENTENCES.get(kind) or UNKNOWN
    return words.filled({"subject": subject})
