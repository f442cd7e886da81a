"""What may be found of a source of pictures: how bad it is, in which words, and what to do."""

from agent.checks.result import Code, Verdict
from agent.checks.sources_codes import ANY_SOURCE
from config.locale.lookup import Words

CODES = {
    **ANY_SOURCE,
    "ok": Code(Verdict.OK, Words("Gambar baik", "The picture is good")),
    "ok-held": Code(
        Verdict.OK,
        Words('Gambar baik; dipakai sesi "{session}"', 'The picture is good; the session "{session}" has it'),
    ),
    "no-picture": Code(
        Verdict.FAILURE,
        Words("Tidak mengirim gambar, atau berhenti mengirim", "It gives no picture, or no more"),
        Words(
            "Pastikan menyala; cabut, tunggu dua detik, pasang lagi; atau ganti kabel.",
            "See that it is switched on; pull it out, wait two seconds, plug it in again; or change its cable.",
        ),
    ),
    "no-signal": Code(
        Verdict.FAILURE,
        Words('Capture card menampilkan "tidak ada sinyal"', 'The capture card shows "no signal"'),
        Words(
            "Periksa kabel HDMI di kedua ujung, nyalakan laptopnya, dan pilih tampilan ganda (duplicate).",
            "Check the HDMI cable at both ends, wake the laptop, and choose to duplicate its display.",
        ),
    ),
    "black": Code(
        Verdict.FAILURE,
        Words("Gambarnya hitam", "The picture is black"),
        Words(
            "Buka tutup lensa dan nyalakan lampu; jika ini capture card, bangunkan laptopnya.",
            "Take off the lens cap or open the shutter, and switch on the light; for a capture card, wake the laptop.",
        ),
    ),
    "frozen": Code(
        Verdict.FAILURE,
        Words("Gambarnya membeku", "The picture is frozen"),
        Words(
            "Cabut kameranya, tunggu dua detik, pasang lagi.",
            "Pull the camera out, wait two seconds, plug it in again.",
        ),
    ),
    "damaged": Code(
        Verdict.WARNING,
        Words("Ada gambar yang rusak", "Pictures are damaged"),
        Words(
            "Pakai kabel lain yang lebih pendek, atau port lain tanpa hub.",
            "Use another, shorter cable, or another port without a hub.",
        ),
    ),
    "dark": Code(
        Verdict.WARNING,
        Words("Gambarnya terlalu gelap", "The picture is too dark"),
        Words(
            "Nyalakan lampu ruangan; jangan arahkan kamera ke jendela.",
            "Switch on the lights of the room; point the camera away from windows.",
        ),
    ),
    "burnt-out": Code(
        Verdict.WARNING,
        Words(
            "Terlalu terang: {burnt_percent:.0f} % gambarnya putih", "Too bright: {burnt_percent:.0f} % of it is white"
        ),
        Words(
            "Tutup tirai jendela, jauhkan lampu dari pandangan kamera, atau turunkan exposure-nya.",
            "Draw the curtains, keep lamps out of the camera's view, or turn its exposure down.",
        ),
    ),
    "blurred": Code(
        Verdict.WARNING,
        Words("Gambarnya kabur", "The picture is blurred"),
        Words(
            "Lap lensanya; putar fokusnya sampai tulisan di podium terbaca, atau nyalakan autofokus.",
            "Wipe the lens; turn its focus until writing on the podium can be read, or switch autofocus on.",
        ),
    ),
}
