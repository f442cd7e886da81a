"""What may be found of a rehearsal: how bad it is, in which words, and what to do; a table for each part of the way."""

from agent.checks.result import Code, Verdict
from config.locale.lookup import Words

CODES = {
    "ok": Code(
        Verdict.OK,
        Words("Utuh: {duration_s:.1f} detik, bisa diputar sampai akhir", "Whole: {duration_s:.1f} s, plays to its end"),
    ),
    "not-recorded": Code(
        Verdict.FAILURE,
        Words("Tidak ada yang terekam: {error}", "Nothing was recorded: {error}"),
        Words("Perbaiki itu dulu: {hint}", "Mend that first: {hint}"),
    ),
    "damaged": Code(
        Verdict.FAILURE,
        Words("Rekamannya rusak: {error}", "The recording is damaged: {error}"),
        Words(
            "Periksa disk komputer ini (hubungi IT), lalu ulangi gladi.",
            "Have this computer's disk looked at (call IT), then rehearse again.",
        ),
    ),
    "short": Code(
        Verdict.FAILURE,
        Words(
            "Rekamannya hanya {duration_s:.1f} dari {asked_s:.0f} detik",
            "The recording is only {duration_s:.1f} of {asked_s:.0f} s",
        ),
        Words(
            "Ulangi gladi; jika tetap begitu, lihat `liput health` dan hubungi IT.",
            "Rehearse again; if it stays so, see `liput health` and call IT.",
        ),
    ),
}
_LIGHTER = Words(
    "Tutup program lain, atau pakai profil yang lebih ringan (lihat `liput check`).",
    "Close other programs, or use a lighter profile (see `liput check`).",
)
HAPPENED_CODES = {
    "happened": Code(Verdict.WARNING, Words("{was_id}", "{was_en}"), Words("{do_id}", "{do_en}")),
    "passed": Code(
        Verdict.WARNING,
        Words(
            "Sempat {lasted_s:.1f} detik: {was_id} Sesudah itu pulih",
            "For {lasted_s:.1f} s: {was_en} It was well again after that",
        ),
        Words("Ulangi gladi. Jika terulang: {do_id}", "Rehearse again. If it comes again: {do_en}"),
    ),
}
"""What a session told of on the way, in the words of its alarms."""
RATE_CODES = {
    "ok": Code(
        Verdict.OK,
        Words(
            "{rate_fps:.1f} gambar per detik, {repeated} diulang",
            "{rate_fps:.1f} pictures a second, {repeated} repeated",
        ),
    ),
    "slow": Code(
        Verdict.WARNING,
        Words(
            "Hanya {rate_fps:.1f} gambar per detik, seharusnya {wanted_fps:.0f}",
            "Only {rate_fps:.1f} pictures a second instead of {wanted_fps:.0f}",
        ),
        Words(
            "Nyalakan lampu (dalam gelap kamera melambat), atau pakai port USB lain.",
            "Switch on the light (in the dark cameras are slow), or use another USB port.",
        ),
    ),
    "dropped": Code(
        Verdict.WARNING,
        Words("{dropped} gambar terbuang: komputer ini kewalahan", "{dropped} pictures dropped: this PC is overloaded"),
        _LIGHTER,
    ),
    "overloaded": Code(
        Verdict.WARNING,
        Words(
            "Komputer ini kewalahan: {rate_fps:.1f} gambar per detik, {repeated} diulang",
            "This PC is overloaded: {rate_fps:.1f} pictures a second, {repeated} repeated",
        ),
        _LIGHTER,
    ),
    "repeated": Code(
        Verdict.WARNING,
        Words(
            "{repeated} gambar diulang karena kamera tidak mengirim",
            "{repeated} pictures repeated because the camera gave none",
        ),
        Words(
            "Periksa kabel kameranya, dan pindahkan ke port tanpa hub.",
            "Check the camera's cable, and move it to a port without a hub.",
        ),
    ),
}
SYNC_CODES = {
    "ok": Code(
        Verdict.OK,
        Words("Bibir dan suara cocok: suara {offset_ms:+.0f} ms", "Lips and voice agree: sound {offset_ms:+.0f} ms"),
    ),
    "sound-early": Code(
        Verdict.WARNING,
        Words("Suara mendahului gambar {early_ms:.0f} ms", "Sound is {early_ms:.0f} ms before the picture"),
        Words(
            "Ambil suara dari alat yang sama dengan gambarnya (capture card), atau tunda suara di mixer.",
            "Take sound from the device that gives the picture (the capture card), or delay it in the mixer.",
        ),
    ),
    "sound-late": Code(
        Verdict.WARNING,
        Words("Suara tertinggal {late_ms:.0f} ms dari gambar", "Sound is {late_ms:.0f} ms behind the picture"),
        Words(
            "Matikan efek dan penundaan di mixer atau penerima nirkabel, atau ambil suara dari capture card.",
            "Switch off effects and delays of the mixer or the wireless receiver, or take sound from the capture card.",
        ),
    ),
    "not-seen": Code(
        Verdict.UNCHECKED,
        Words("Kecocokan bibir dan suara tidak bisa diukur", "Whether lips and voice agree could not be measured"),
        Words(
            "Ulangi gladi dan tepuk tangan keras tiga kali di depan kamera.",
            "Rehearse again, and clap loudly three times in front of the camera.",
        ),
    ),
}
SIZE_CODES = {
    "ok": Code(Verdict.OK, Words("{size} untuk {rate}, sesuai profil", "{size} at {rate}, as the profile has it")),
    "large": Code(
        Verdict.WARNING,
        Words("{rate}, lebih dari {wanted_rate} di profil", "{rate}, more than the profile's {wanted_rate}"),
        Words(
            "Hitung ulang ruang disk untuk acara ini, atau pakai profil lain.",
            "Reckon anew what the event takes of the disk, or use another profile.",
        ),
    ),
}
DESTINATION_CODES = {
    "ok": Code(Verdict.OK, Words("Siaran diterima", "The stream was taken")),
    "interrupted": Code(
        Verdict.WARNING,
        Words("Siaran terputus {reconnects} kali", "The stream broke off {reconnects} times"),
        Words(
            "Pakai kabel jaringan, bukan Wi-Fi, dan jalankan `liput check`.",
            "Use a network cable, not Wi-Fi, and run `liput check`.",
        ),
    ),
    "not-live": Code(
        Verdict.FAILURE,
        Words("Siaran tidak pernah diterima: {error}", "The stream was never taken: {error}"),
        Words(
            "Periksa alamat dan kuncinya, dan apakah servernya menyala.",
            "Check its address and key, and whether its server runs.",
        ),
    ),
    "left-out": Code(
        Verdict.UNCHECKED,
        Words("Tidak dicoba: bukan tujuan uji", "Not tried: it is no test destination"),
        Words(
            "Untuk mencobanya, pakai tujuan lain dengan test = true di pengaturan.",
            "To try it, use another destination with test = true in the settings.",
        ),
    ),
}
