"""What may be wrong with any source, before it gives anything."""

from collections.abc import Mapping

from agent.checks.result import Code, Verdict
from config.locale.lookup import Words

ANY_SOURCE: Mapping[str, Code] = {
    "not-chosen": Code(
        Verdict.FAILURE,
        Words("Sumber sesi ini tidak dapat dipilih: {error}", "The sources of this session cannot be chosen: {error}"),
        Words("Perbaiki itu dulu: {hint}", "Mend that first: {hint}"),
    ),
    "missing": Code(
        Verdict.FAILURE,
        Words("Tidak terpasang", "Not plugged in"),
        Words(
            "Pasang alatnya; jika sudah, cabut dan pasang lagi, atau ganti kabel.",
            "Plug it in; if it is, pull it out and plug it in again, or change its cable.",
        ),
    ),
    "busy": Code(
        Verdict.FAILURE,
        Words("Sedang dipakai program lain ({error})", "Another program has it ({error})"),
        Words(
            "Tutup program yang memakainya (Zoom, browser, OBS), lalu periksa lagi.",
            "Close the program that uses it (Zoom, a browser, OBS), then check again.",
        ),
    ),
    "denied": Code(
        Verdict.FAILURE,
        Words("Pengguna ini tidak boleh membukanya", "This user may not open it"),
        Words("Hubungi IT: {hint}", "Call IT: {hint}"),
    ),
    "bus-full": Code(
        Verdict.FAILURE,
        Words("Jalur USB-nya penuh", "Its USB bus is full"),
        Words(
            "Pindahkan kamera ini ke port USB di sisi lain komputer, tanpa hub.",
            "Move this camera to a USB port on the other side of the computer, without a hub.",
        ),
    ),
    "lost": Code(
        Verdict.FAILURE,
        Words("Terputus sewaktu diperiksa", "It was lost while it was looked at"),
        Words(
            "Kencangkan kabelnya di kedua ujung, atau ganti kabel; lalu periksa lagi.",
            "Push its cable in at both ends, or change it; then check again.",
        ),
    ),
    "not-opened": Code(
        Verdict.FAILURE,
        Words("Tidak bisa dibuka: {error}", "It cannot be opened: {error}"),
        Words(
            "Cabut, tunggu dua detik, pasang lagi. Jika tetap begitu: {hint}",
            "Pull it out, wait two seconds, plug it in again. If it stays so: {hint}",
        ),
    ),
    "hangs": Code(
        Verdict.FAILURE,
        Words("Tidak menjawab dalam {longest_s:.0f} detik", "No answer within {longest_s:.0f} s"),
        Words(
            "Cabut, tunggu dua detik, pasang lagi; jika tetap begitu, pindahkan ke port lain.",
            "Pull it out, wait two seconds, plug it in again; if it stays so, use another port.",
        ),
    ),
    "held-silent": Code(
        Verdict.UNCHECKED,
        Words(
            'Dipakai sesi "{session}", yang tidak menjawab', 'In use by the session "{session}", which does not answer'
        ),
        Words("Lihat `liput status`; jika tetap begitu, hubungi IT.", "See `liput status`; if it stays so, call IT."),
    ),
    "cancelled": Code(Verdict.UNCHECKED, Words("Dibatalkan", "Cancelled")),
}
