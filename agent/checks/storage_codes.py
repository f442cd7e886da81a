"""What may be found of the disks: the words of agent/checks/storage.py."""

from collections.abc import Mapping

from agent.checks.result import Code, Verdict
from config.locale.lookup import Words

_MAKE_ROOM = Words(
    "Salin sesi lama ke disk lain, lalu hapus di sini; atau rekam ke disk lain (--archive).",
    "Copy old sessions to another disk and remove them here; or record to another disk (--archive).",
)
_OTHER_DISK = Words(
    "Pakai disk lain (--archive), sebaiknya SSD di port USB 3.",
    "Use another disk (--archive), an SSD in a USB 3 port if you can.",
)

CODES: Mapping[str, Code] = {
    "ok": Code(
        Verdict.OK,
        Words("{free} kosong, cukup untuk {lasts}", "{free} free, enough for {lasts}"),
    ),
    "not-mounted": Code(
        Verdict.FAILURE,
        Words("Disk untuk {folder} tidak terpasang", "The disk of {folder} is not mounted"),
        Words(
            "Colokkan disknya dan buka sekali di pengelola berkas, lalu periksa lagi.",
            "Plug the disk in, open it once in the file manager, and check again.",
        ),
    ),
    "read-only": Code(
        Verdict.FAILURE,
        Words("Disk untuk {folder} hanya dapat dibaca", "The disk of {folder} can only be read"),
        Words(
            "Cabut dengan aman, colokkan lagi; jika tetap begitu, disknya rusak: pakai yang lain.",
            "Eject it, plug it in again; if it stays so the disk is damaged: use another one.",
        ),
    ),
    "unwritable": Code(
        Verdict.FAILURE,
        Words("{folder} tidak dapat ditulisi", "{folder} cannot be written"),
        Words(
            "Pilih folder lain (--archive), atau minta IT memberi hak tulis.",
            "Choose another folder (--archive), or ask IT for the right to write there.",
        ),
    ),
    "full": Code(
        Verdict.FAILURE,
        Words(
            "Sisa ruang di {folder} kurang dari cadangan {reserve}",
            "Less than the reserve of {reserve} is free in {folder}",
        ),
        _MAKE_ROOM,
    ),
    "hangs": Code(
        Verdict.FAILURE,
        Words("Disk untuk {folder} tidak menjawab", "The disk of {folder} does not answer"),
        Words(
            "Periksa kabelnya, atau jaringan ke sana. Pakai disk lain sampai pulih (--archive).",
            "Check its cable, or the network to it. Use another disk until it does (--archive).",
        ),
    ),
    "slow": Code(
        Verdict.WARNING,
        Words(
            "Disk untuk {folder} lambat: {speed}, rekaman butuh {need}",
            "The disk of {folder} is slow: {speed}, a recording needs {need}",
        ),
        _OTHER_DISK,
    ),
    "too-slow": Code(
        Verdict.FAILURE,
        Words(
            "Disk untuk {folder} terlalu lambat: {speed}, rekaman butuh {need}",
            "The disk of {folder} is too slow: {speed}, a recording needs {need}",
        ),
        _OTHER_DISK,
    ),
    "fat": Code(
        Verdict.WARNING,
        Words(
            "Disk untuk {folder} berformat FAT: satu berkas berhenti di 4 GB, setelah {lasts}",
            "The disk of {folder} has a FAT file system: a file ends at 4 GB, after {lasts}",
        ),
        Words("Minta IT memformatnya ke exFAT atau ext4.", "Ask IT to format it with exFAT or ext4."),
    ),
    "open": Code(
        Verdict.WARNING,
        Words(
            "Rekaman di {folder} dapat dibaca semua pengguna PC ini",
            "Every user of this PC can read the recordings in {folder}",
        ),
        Words("Minta IT menutupnya. Rekaman baru sudah tertutup.", "Ask IT to close them. New ones are closed."),
    ),
    "no-mirror": Code(
        Verdict.FAILURE,
        Words("Dua salinan diminta, tetapi hanya ada satu folder", "Two copies are asked for, and there is one folder"),
        Words(
            "Minta IT menambah folder kedua: [storage] paths di pengaturan.",
            "Ask IT to name a second folder: [storage] paths in the settings.",
        ),
    ),
    "short": Code(
        Verdict.FAILURE,
        Words(
            "Ruang cukup untuk {lasts}; sesi direncanakan {planned}",
            "There is room for {lasts}; the session is planned for {planned}",
        ),
        _MAKE_ROOM,
    ),
    "goes-on": Code(
        Verdict.WARNING,
        Words(
            "{folder} penuh setelah {lasts}, sebelum sesi selesai; rekaman lalu pindah ke {next}",
            "{folder} is full after {lasts}, before the session ends; the recording then goes on in {next}",
        ),
        _MAKE_ROOM,
    ),
    "little": Code(
        Verdict.WARNING,
        Words("Ruang hanya cukup untuk {lasts}", "There is room for {lasts} only"),
        _MAKE_ROOM,
    ),
    "recording": Code(
        Verdict.UNCHECKED,
        Words(
            'Kecepatan disk tidak diukur: sesi "{title}" sedang merekam',
            'How fast disks are is not measured: the session "{title}" records',
        ),
    ),
}
