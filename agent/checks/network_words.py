"""What is wrong on the way to a server, in the words of an operator: one Code for each Trouble."""

from collections.abc import Mapping

from agent.checks.result import Code, Verdict
from config.locale.lookup import Words
from devices.uplink.trouble import Trouble

_LOGIN = Words(
    "Buka peramban di PC ini, masuk ke jaringan, lalu periksa lagi.",
    "Open a browser on this PC, log in to the network, then check again.",
)
_IT = Words("Hubungi IT dan bacakan baris ini.", "Call IT and read this line to them.")
_OTHER_NETWORK = Words(
    "Coba jaringan lain (hotspot ponsel). Jika di sana bisa, jaringan ini memblokirnya: hubungi IT.",
    "Try another network (a phone's hotspot). If it works there, this network blocks it: call IT.",
)
_ADDRESS = Words(
    "Periksa alamatnya di pengaturan, huruf demi huruf.", "Check its address in the settings, letter by letter."
)

TROUBLES: Mapping[Trouble, Code] = {
    Trouble.NO_CABLE: Code(
        Verdict.FAILURE,
        Words("PC ini tidak tersambung ke jaringan apa pun", "This PC is not connected to any network"),
        Words(
            "Tancapkan kabel jaringan sampai berbunyi klik, atau sambungkan ke Wi-Fi.",
            "Push the network cable in until it clicks, or join the Wi-Fi.",
        ),
    ),
    Trouble.NO_ADDRESS: Code(
        Verdict.FAILURE,
        Words(
            "Kabel atau Wi-Fi tersambung, tetapi jaringan tidak memberi alamat",
            "The cable or Wi-Fi is connected, but the network gives this PC no address",
        ),
        Words(
            "Cabut lalu tancapkan lagi kabelnya, tunggu satu menit; jika tetap begitu, hubungi IT.",
            "Unplug the cable, plug it in again and wait a minute; if it stays so, call IT.",
        ),
    ),
    Trouble.NO_ROUTE: Code(
        Verdict.FAILURE,
        Words("Dari jaringan ini tidak ada jalan ke {where}", "There is no way to {where} from this network"),
        _OTHER_NETWORK,
    ),
    Trouble.NO_DNS: Code(
        Verdict.FAILURE,
        Words(
            "Jaringan ini tidak menjawab di mana {where} berada (DNS rusak)",
            "This network does not answer where {where} is (DNS is broken)",
        ),
        _OTHER_NETWORK,
    ),
    Trouble.UNKNOWN_HOST: Code(
        Verdict.FAILURE, Words("Tidak ada server bernama {where}", "There is no server called {where}"), _ADDRESS
    ),
    Trouble.REFUSED: Code(
        Verdict.FAILURE,
        Words("{where} menolak sambungan", "{where} refuses connections"),
        Words(
            "Pastikan server itu dinyalakan, dan alamat serta nomor portnya benar.",
            "Make sure that the server is switched on, and that its address and port are right.",
        ),
    ),
    Trouble.TIMEOUT: Code(
        Verdict.FAILURE, Words("{where} tidak menjawab", "Nothing comes back from {where}"), _OTHER_NETWORK
    ),
    Trouble.PORTAL: Code(
        Verdict.FAILURE,
        Words(
            "Jaringan ini meminta login dahulu: bukan {where} yang menjawab{detail}",
            "This network wants a login first: it is not {where} that answers{detail}",
        ),
        _LOGIN,
    ),
    Trouble.INTERCEPTED: Code(
        Verdict.FAILURE,
        Words(
            "Sambungan ke {where} disadap: sertifikatnya bukan milik server itu{detail}",
            "The connection to {where} is intercepted: its certificate is not that server's own{detail}",
        ),
        Words(
            "Jangan menyiarkan lewat jaringan ini. Buka peramban; jika muncul halaman login, masuklah. Jika tidak, "
            "hubungi IT. Server milik kampus sendiri: isi ca_file di pengaturan.",
            "Do not stream over this network. Open a browser; if a login page comes up, log in. If not, call IT. "
            "For a server of the campus's own, set its ca_file.",
        ),
    ),
    Trouble.CERTIFICATE_DATE: Code(
        Verdict.FAILURE,
        Words(
            "Sertifikat {where} tidak berlaku pada tanggal PC ini",
            "The certificate of {where} does not hold at this PC's date",
        ),
        Words(
            "Lihat jam dan tanggal PC ini; jika benar, hubungi pengelola server itu.",
            "Look at this PC's clock and date; if they are right, call whoever runs that server.",
        ),
    ),
    Trouble.NO_TLS: Code(
        Verdict.FAILURE,
        Words(
            "{where} tidak berbicara terenkripsi (TLS)", "{where} does not speak encrypted (TLS)"
        ),
        Words(
            "Periksa nomor port di pengaturan; server tanpa TLS ditulis rtmp://, bukan rtmps://.",
            "Check the port in the settings; a server without TLS is written rtmp://, not rtmps://.",
        ),
    ),
    Trouble.SILENT: Code(
        Verdict.FAILURE,
        Words(
            "{where} menerima sambungan lalu diam", "{where} takes the connection and says nothing"
        ),
        Words(
            "Tunggu satu menit dan periksa lagi; jika tetap begitu, hubungi pengelola server itu.",
            "Wait a minute and check again; if it stays so, call whoever runs that server.",
        ),
    ),
    Trouble.STALLS: Code(
        Verdict.FAILURE,
        Words("{where} mulai menjawab lalu berhenti di tengah", "{where} began to answer and stopped midway"),
        Words(
            "Tunggu satu menit dan periksa lagi; jika tetap begitu, coba jaringan lain dan hubungi IT.",
            "Wait a minute and check again; if it stays so, try another network and call IT.",
        ),
    ),
    Trouble.CLOSED: Code(
        Verdict.FAILURE, Words("{where} memutus sambungan", "{where} hangs up"), _OTHER_NETWORK
    ),
    Trouble.FOREIGN: Code(
        Verdict.FAILURE,
        Words(
            "Yang menjawab di {where} bukan server yang dicari{detail}",
            "What answers at {where} is not the server that was looked for{detail}",
        ),
        _ADDRESS,
    ),
    Trouble.SERVER_ERROR: Code(
        Verdict.FAILURE,
        Words("{where} menolak permintaan{detail}", "{where} answers with an error{detail}"),
        _IT,
    ),
    Trouble.BUSY: Code(
        Verdict.FAILURE,
        Words("{where} sedang dipakai orang lain", "{where} is being used by somebody else"),
        Words("Tunggu satu menit dan periksa lagi.", "Wait a minute and check again."),
    ),
}  # fmt: skip
