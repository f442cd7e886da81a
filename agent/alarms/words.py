"""What each trouble of a session means to those who sit beside it, and what to do: in both languages.

The page, the desktop, mails and webhooks say these sentences. Every kind of event that degrades a session is here, and
every fault of a device (tests/agent/alarms/test_words.py), some once for each reason: `KIND:REASON` comes before
`KIND`. `{subject}` is what it happened to, by the name that people have for it (agent/alarms/subjects.py).
"""

import re
from collections.abc import Mapping

from agent.alarms.sources import SCREENS, trouble_of
from agent.alarms.subjects import SCREEN, named
from config.locale.lookup import NOTHING, Words
from devices.health.faults import Fault
from recorder.event_kinds import TOLD_BY_TRACKS, kind_of
from recorder.troubles import AWAY

KILLED, SILENT = "recorder-killed", "recorder-silent"
"""Troubles that no session can tell of: its recorder is gone, or says nothing any more."""
FAILED = "session-failed"
"""Of a session whose recorder was killed, and that nobody goes on with any more, it is told for the session."""
DAMAGED = "package-damaged"
"""The trouble of a package of the archive."""

_BUSY = Words(
    "{subject} sedang dipakai program lain: tutup program itu (Zoom, peramban). Rekaman tetap berjalan tanpanya.",
    "{subject} is used by another program: close that program (Zoom, a browser). The recording goes on without it.",
)
_DENIED = Words(
    "{subject} tidak boleh dibuka: hubungi IT. Rekaman tetap berjalan tanpanya.",
    "{subject} may not be opened: call IT. The recording goes on without it.",
)
_BUS_FULL = Words(
    "{subject} tidak mendapat tempat di jalur USB: pindahkan ke port USB lain. Rekaman tetap berjalan tanpanya.",
    "{subject} has no room on its USB bus: move it to another USB port. The recording goes on without it.",
)
_SENDS_NOTHING = Words(
    "{subject} tidak mengirim apa-apa: periksa kabel dan daya, lalu cabut dan colokkan lagi. Rekaman tetap berjalan.",
    "{subject} sends nothing: check its cable and power, then unplug it and plug it in again. The recording goes on.",
)

_SOURCES = {
    "source-lost": Words(
        "{subject} terlepas: colokkan kembali. Rekaman tetap berjalan.",
        "{subject} was unplugged: plug it in again. The recording goes on.",
    ),
    "source-missing": Words(
        "{subject} tidak ada: periksa kabelnya dan colokkan. Rekaman tetap berjalan tanpanya.",
        "{subject} is missing: check its cable and plug it in. The recording goes on without it.",
    ),
    "source-missing:busy": _BUSY,
    "source-missing:denied": _DENIED,
    "source-missing:bus-full": _BUS_FULL,
    "source-missing:silent": _SENDS_NOTHING,
    "source-silent": _SENDS_NOTHING,
    "source-hung": Words(
        "{subject} macet: cabut, tunggu dua detik, colokkan kembali. Rekaman tetap berjalan.",
        "{subject} hangs: unplug it, wait two seconds, plug it in again. The recording goes on.",
    ),
    "source-busy": _BUSY,
    "source-denied": _DENIED,
    "source-bus-full": _BUS_FULL,
}

_PICTURE_AND_SOUND = {
    "source-no-signal": Words(
        "{subject} tidak menerima sinyal: periksa kabel HDMI di kedua ujung dan layar laptop. Rekaman tetap berjalan.",
        "{subject} gets no signal: check the HDMI cable at both ends and the laptop's display. The recording goes on.",
    ),
    "source-frozen": Words(
        "{subject} membeku: cabut, tunggu dua detik, colokkan kembali. Rekaman tetap berjalan.",
        "{subject} is frozen: unplug it, wait two seconds, plug it in again. The recording goes on.",
    ),
    "source-black": Words(
        "{subject} hitam: buka tutup lensanya atau nyalakan lampu. Rekaman tetap berjalan.",
        "{subject} is black: take off the lens cap or switch on the light. The recording goes on.",
    ),
    "source-silence": Words(
        "{subject} tidak terdengar: nyalakan, lalu periksa tombol bisu, baterai, dan kabelnya. Rekaman tetap berjalan.",
        "{subject} is not heard: turn it on, then check its mute switch, battery and cable. The recording goes on.",
    ),
    "source-dead-channel": Words(
        "{subject} kehilangan satu kanal: periksa kabel dan colokannya. Rekaman tetap berjalan.",
        "{subject} has lost one channel: check its cable and plugs. The recording goes on.",
    ),
    "source-damaged": Words(
        "{subject} mengirim gambar rusak: pakai kabel atau port USB lain. Rekaman tetap berjalan.",
        "{subject} sends damaged pictures: use another cable or USB port. The recording goes on.",
    ),
    "source-slow": Words(
        "{subject} mengirim terlalu sedikit gambar: tambah cahaya, atau pindahkan ke port USB lain.",
        "{subject} sends too few pictures: give it more light, or move it to another USB port.",
    ),
    "picture-damaged": Words(
        "{subject} mengirim beberapa gambar rusak: bila berulang, pakai kabel atau port USB lain.",
        "{subject} sent some damaged pictures: if that goes on, use another cable or USB port.",
    ),
    "file-broken": Words(
        "Film {subject} terputus sebelum selesai: salin lagi berkasnya. Rekaman tetap berjalan.",
        "The film {subject} breaks off before its end: copy its file again. The recording goes on.",
    ),
    "frames-dropped": Words(
        "PC ini tidak sempat mengolah semua gambar: tutup program lain. Rekaman tetap berjalan.",
        "This PC cannot keep up with all pictures: close other programs. The recording goes on.",
    ),
    "stepped-down": Words(
        "PC ini kewalahan, gambar direkam lebih sederhana: tutup program lain. Suara tetap lengkap.",
        "This PC does not keep up, the picture is recorded more simply: close other programs. The sound is whole.",
    ),
    "encoder-failed": Words(
        "Encoder {subject} gagal, x264 menggantikannya: tidak ada gambar yang hilang. Laporkan ke IT setelah acara.",
        "The encoder {subject} failed, x264 goes on: no picture is missing. Tell IT after the event.",
    ),
    "sound-gap": Words(
        "{subject} terputus sejenak: bila berulang, ganti kabelnya. Rekaman tetap berjalan.",
        "{subject} was cut off for a moment: if that happens again, change its cable. The recording goes on.",
    ),
    "sound-lost": Words(
        "{subject} kehilangan potongan suara karena PC terlalu sibuk: tutup program lain. Rekaman tetap berjalan.",
        "{subject} lost bits of sound because the PC is too busy: close other programs. The recording goes on.",
    ),
    "isolated-failed": Words(
        "{subject} tidak direkam terpisah lagi: hubungi IT. Rekaman utama tetap berjalan.",
        "{subject} is not recorded apart any more: call IT. The main recording goes on.",
    ),
    "isolated-dropped": Words(
        "{subject} kehilangan gambar di rekaman terpisahnya: tutup program lain. Rekaman utama tidak terganggu.",
        "{subject} has lost pictures in its own file: close other programs. The main recording is not affected.",
    ),
}

_DISKS = {
    "recording-stalled": Words(
        "Rekaman tidak bertambah di disk: jangan matikan PC, hubungi IT, dan siapkan perekam cadangan.",
        "The recording does not grow on the disk: leave the PC on, call IT, and get a second recorder ready.",
    ),
    "recording-failed": Words(
        "Rekaman BERHENTI karena disknya tidak menerima: mulai rekaman baru ke disk lain dan hubungi IT.",
        "The recording has STOPPED because its disk takes no more: start a new one to another disk and call IT.",
    ),
    "recording-gap": Words(
        "Sebagian kecil rekaman hilang waktu pindah disk: catat waktunya, laporkan ke IT. Rekaman tetap berjalan.",
        "A small part of the recording was lost when the disk changed: note the time, tell IT. The recording goes on.",
    ),
    "disk-critical": Words(
        "Disk {subject} hampir penuh: tinggal beberapa menit. Pasang disk cadangan sekarang, atau akhiri sesi.",
        "The disk of {subject} is nearly full: minutes are left. Plug in a spare disk now, or end the session.",
    ),
    "storage-full": Words(
        "Disk {subject} penuh: rekaman pindah ke disk cadangan bila ada; bila tidak, pasang disk dan mulai lagi.",
        "The disk of {subject} is full: the recording moves to a spare disk; without one, plug one in and begin anew.",
    ),
    "storage-read-only": Words(
        "Disk {subject} tidak bisa ditulisi lagi: hubungi IT, dan periksa bahwa rekaman masih berjalan.",
        "The disk of {subject} cannot be written to any more: call IT, and see that the recording still goes on.",
    ),
    "storage-failed": Words(
        "Disk {subject} rusak: hubungi IT, dan periksa bahwa rekaman masih berjalan.",
        "The disk of {subject} fails: call IT, and see that the recording still goes on.",
    ),
    "storage-vanished": Words(
        "Disk {subject} terlepas: pasang kembali, dan periksa bahwa rekaman masih berjalan.",
        "The disk of {subject} was unplugged: plug it in again, and see that the recording still goes on.",
    ),
    "storage-stalled": Words(
        "Disk {subject} tidak menjawab: jangan cabut, hubungi IT, dan periksa bahwa rekaman masih berjalan.",
        "The disk of {subject} does not answer: do not pull it out, call IT, and see that the recording still goes on.",
    ),
    "storage-refused": Words(
        "Tidak bisa merekam ke disk cadangan {subject}: pasang disknya atau hubungi IT.",
        "Nothing can be recorded to the spare disk {subject}: plug it in or call IT.",
    ),
    "guard-failed": Words(
        "Disk tidak diawasi lagi: perhatikan sisa tempat sendiri dan laporkan ke IT. Rekaman tetap berjalan.",
        "The disks are watched no more: keep an eye on the space left and tell IT. The recording goes on.",
    ),
    "parts-apart": Words(
        "Rekaman tersimpan dalam beberapa bagian yang belum tersambung: laporkan ke IT. Semuanya ada.",
        "The recording is in several parts that are not joined yet: tell IT. All of it is there.",
    ),
    "part-left": Words(
        "Satu bagian rekaman masih di {subject}: biarkan disknya terpasang, jangan hapus, laporkan ke IT.",
        "One part of the recording is still in {subject}: leave its disk plugged in, delete nothing, tell IT.",
    ),
}

_SESSION = {
    "start-failed": Words(
        "Rekaman TIDAK dimulai: periksa disk arsip dan sisa tempatnya, lalu tekan lagi “Mulai merekam”.",
        "The recording has NOT begun: look at the archive's disk and its space, then press “Start recording” again.",
    ),
    FAILED: Words(
        "Sesi GAGAL: mulai rekaman baru sekarang, lalu hubungi IT. Yang sudah direkam tetap ada.",
        "The session has FAILED: start a new recording now, then call IT. What was recorded is kept.",
    ),
    "sealing-failed": Words(
        "Rekaman {subject} belum masuk ke arsip, tetapi tetap ada di disk: hubungi IT (liput recover).",
        "The recording {subject} is not in the archive yet, but it is on the disk: call IT (liput recover).",
    ),
    "sink-failed": Words(
        "Keluaran {subject} berhenti: tambahkan kembali bila perlu, laporkan ke IT. Rekaman tetap berjalan.",
        "The output {subject} has stopped: add it again if it is needed, tell IT. The recording goes on.",
    ),
    "pc-slept": Words(
        "PC ini sempat tidur saat merekam: catat jamnya, waktu itu tidak terekam. Rekaman berjalan lagi.",
        "This PC was asleep while it recorded: note the time, that part is missing. The recording goes on.",
    ),
    "wish-unknown": Words(
        "Profil atau tata letak {subject} tidak ada di pengaturan: hubungi IT. Rekaman tetap berjalan, tanpa itu.",
        "The settings have no profile or layout {subject}: tell IT. The recording goes on, without it.",
    ),
    "thread-failed": Words(
        "Satu bagian perekam gagal ({subject}): periksa gambar, suara, dan siaran, laporkan ke IT. Rekaman berjalan.",
        "A part of the recorder has failed ({subject}): look at picture, sound and stream, tell IT. It still records.",
    ),
    "conference-lost": Words(
        "Konferensi tidak menerima {subject}: pilih lagi “Liput” di Zoom atau Meet. Rekaman tetap berjalan.",
        "The conference gets no {subject}: choose “Liput” again in Zoom or Meet. The recording goes on.",
    ),
    "stream-encode-late": Words(
        "PC ini terlalu sibuk untuk siaran: tutup program lain. Rekaman tetap lengkap.",
        "This PC is too busy for the stream: close other programs. The recording is whole.",
    ),
    "stream-encode-failed": Words(
        "Pengolah siaran gagal dan diganti: lihat hasilnya di layar penonton. Rekaman tidak terganggu.",
        "The stream's encoder failed and was replaced: look at what viewers see. The recording is not affected.",
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

_SERVER = Words(
    "Server siaran {subject} tidak menerima: periksa halaman siarannya, atau hubungi IT. Rekaman tetap berjalan.",
    "The server of {subject} does not take the stream: look at its page, or call IT. The recording goes on.",
)
_FOLDER = Words(
    "Folder siaran {subject} tidak bisa ditulis: pasang disknya, atau hubungi IT. Rekaman tetap berjalan.",
    "The folder of {subject} cannot be written to: mount its disk, or call IT. The recording goes on.",
)

_DESTINATIONS = {
    "destination-lost": Words(
        "Siaran ke {subject} terputus: Liput terus mencoba, periksa jaringan dan internet. Rekaman tetap berjalan.",
        "The stream to {subject} was cut off: Liput goes on trying, check network and internet. The recording goes on.",
    ),
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
    "destination-lost:not-yet": Words(
        "Sesi berakhir sebelum server siaran {subject} menjawab: tidak ada yang tersiar. Rekaman lengkap.",
        "The session ended before the server of {subject} had answered: nothing was streamed. The recording is whole.",
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
        "Siaran ke {subject} tertinggal, internet lambat: hentikan unduhan lain. Rekaman tetap lengkap.",
        "The stream to {subject} falls behind, the internet is slow: stop other downloads. The recording is whole.",
    ),
    "destination-dropped": Words(
        "Siaran ke {subject} melewatkan gambar, internet lambat: hentikan unduhan lain. Rekaman tetap lengkap.",
        "The stream to {subject} skipped pictures, the internet is slow: stop other downloads. The recording is whole.",
    ),
    "destination-forgotten": Words(
        "Alamat siaran {subject} tidak diketahui: tambahkan kembali. Rekaman tetap berjalan.",
        "The address of {subject} is not known: add it again. The recording goes on.",
    ),
}

_ARCHIVE = {
    DAMAGED: Words(
        "Paket {subject} di arsip rusak: hubungi IT untuk memulihkannya dari salinan.",
        "The package {subject} of the archive is damaged: have IT restore it from a copy.",
    ),
}

_WARNINGS = {
    "source-jitter": Words(
        "{subject} tersendat: pindahkan ke port USB lain bila bisa.",
        "{subject} stutters: move it to another USB port if you can.",
    ),
    "source-clipping": Words(
        "{subject} terlalu keras: kecilkan di mikser atau mikrofon.",
        "{subject} is too loud: turn it down at the mixer or microphone.",
    ),
    "source-hum": Words(
        "{subject} berdengung: periksa kabel dan adaptor listriknya.",
        "{subject} hums: check its cable and power supply.",
    ),
    "source-flapping": Words(
        "{subject} putus-sambung: ganti kabel atau port USB.",
        "{subject} comes and goes: change its cable or USB port.",
    ),
    "source-swapped": Words(
        "{subject} mungkin tertukar dengan kembarannya: lihat gambarnya.",
        "{subject} may have changed places with its twin: look at the picture.",
    ),
    "source-slow-port": Words(
        "{subject} ada di port USB lambat: pindahkan ke port biru (USB 3).",
        "{subject} is in a slow USB port: move it to a blue one (USB 3).",
    ),
}
"""Faults by which a recording loses nothing."""

SENTENCES: Mapping[str, Words] = {
    **_SOURCES, **_PICTURE_AND_SOUND, **_DISKS, **_SESSION, **_DESTINATIONS, **_ARCHIVE, **_WARNINGS,
}  # fmt: skip
"""By kind, or kind and reason."""

UNKNOWN = Words(
    "Ada gangguan pada {subject}: lihat halaman Liput.",
    "Something is wrong with {subject}: look at Liput's page.",
)
"""Of a recorder that is newer than this program."""

_BACK = Words("{subject} kembali.", "{subject} is back.")
_WELL = Words("{subject} pulih.", "{subject} has recovered.")
OVER: Mapping[str, Words] = {
    "source-lost": _BACK,
    "source-silent": _BACK,
    "source-missing": _BACK,
    "recording-stalled": Words("Rekaman bertambah lagi.", "The recording grows again."),
    "stepped-down": Words("PC ini sanggup lagi.", "This PC keeps up again."),
    "destination-slow": Words("Siaran ke {subject} lancar lagi.", "The stream to {subject} keeps up again."),
    **{kind_of(fault): _WELL for fault in Fault if fault not in TOLD_BY_TRACKS},
}
"""What is worth saying when a trouble has ended."""

NOT_YET = Words("Belum merekam.", "Nothing is recorded yet.")
"""What is said of a session that does not record, in the place of what `_GOES_ON` finds."""
_GOES_ON = re.compile(r" (?:Rekaman|The (?:main )?recording|It still records)[^.:]*\.$")

_OF_THE_RECORDING = re.compile(
    r"recorder-|recording-|storage-|session-failed|start-failed|sealing-failed|disk-critical|part"
)


def sentence(kind: str, subject: str, reason: object = None) -> Words:
    """Return what to tell people of a trouble, and what to do about it."""
    return _filled(_words(kind, subject, reason) or UNKNOWN, kind, subject)


def unrecorded(words: Words, instead: Words = NOTHING) -> Words:
    """Return a sentence as it is where nothing is recorded: `instead` of that the recording goes on."""
    return Words(*(_GOES_ON.sub(f" {other}".rstrip(), text) for text, other in zip(words, instead, strict=True)))


def what_happened(kind: str, subject: str) -> Words | None:
    """Return what a trouble was, when nothing can be done about it any more; None for a kind that is not known."""
    if (words := _words(kind, subject)) is None:
        return None
    return _filled(Words(*(f"{text.partition(': ')[0]}." for text in words)), kind, subject)


def when_over(kind: str, subject: str) -> Words | None:
    """Return what to say when a trouble has ended; None where that is not worth a word."""
    return _filled(OVER[kind], kind, subject) if kind in OVER else None


def is_grave(kind: str) -> bool:
    """Return whether the recording itself is in danger, or lacks a whole source; everything else is less urgent."""
    return _OF_THE_RECORDING.match(kind) is not None or trouble_of(kind) == AWAY


def _words(kind: str, subject: str, reason: object = None) -> Words | None:
    of_screen = SCREENS.get(trouble_of(kind)) if subject.startswith(SCREEN) else None
    return of_screen or SENTENCES.get(f"{kind}:{reason}") or SENTENCES.get(kind)


def _filled(words: Words, kind: str, subject: str) -> Words:
    names = named(kind, subject)
    return Words(*(text.format(subject=name) for text, name in zip(words, names, strict=True)))
