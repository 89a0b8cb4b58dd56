"""The words in German."""

from __future__ import annotations

TEXTS = {
    "progress": "Fortschritt von {button}",
    "starting": "Wird gestartet…",
    "queued": "Wartet auf den Start…",
    "queue_position": "Platz {queue_position} in der Warteschlange",
    "working": "In Arbeit…",
    "reconnecting": "Verbindung verloren. Neuer Versuch…",
    "cancelling": "Wird abgebrochen…",
    "ready": "Fertig: {files_text}",
    "held": "Ihr Browser hat nicht alles von selbst gespeichert. Speichern Sie den Rest hier:",
    "elsewhere": "Fertig. Das Folgende liegt bei einer anderen Website; öffnen Sie es hier:",
    "cut": "Vor dem Ende abgebrochen: {cut_text}. Wenn Ihr Browser"
    " nicht von selbst weitermacht, speichern Sie hier noch einmal:",
    "framed": "Die Seite ringsum verbietet womöglich das Speichern. Wenn ein Link nichts"
    " bewirkt, öffnen Sie die Dateien in einem eigenen Tab.",
    "saving": "{files_text} wird gespeichert…",
    "saved": "Gespeichert: {files_text}",
    "nothing": "Es gibt keine Datei zu speichern.",
    "cancelled": "Abgebrochen.",
    "expired": "Die Dateien sind abgelaufen.",
    "reference": "Kennung: {reference}",
    "files": "Dateien",
    "cancel": "Abbrechen",
    "retry": "Erneut versuchen",
    "renew": "Neu erstellen",
    "save_again": "Nochmals speichern",
    "open_tab": "In neuem Tab öffnen",
    "save_all": "Alle herunterladen ({zip_text})",
    "file_saved": "gespeichert",
    "file_saving": "wird gespeichert…",
    "file_cut": "abgebrochen",
    "file_refused": "nicht verfügbar",
    "center_title": "Ihre Downloads",
    "center_empty": "Es gibt noch keine Downloads.",
    "center_notify": "Benachrichtigen, wenn ein Download fertig ist",
    "offline": (
        "Der Server ist nicht erreichbar. Prüfen Sie Ihre Verbindung und versuchen Sie es erneut."
    ),
    "garbled": (
        "Die Antwort des Servers war nicht zu verstehen ({status}). Bitte versuchen Sie es erneut."
    ),
    "gone": "Dieser Download ist nicht mehr verfügbar. Bitte starten Sie ihn neu.",
    "unsaved": "Nicht verfügbar und daher nicht gespeichert: {names}.",
    "failed": "Etwas ist schiefgegangen. Bitte versuchen Sie es erneut.",
    "too_long": "Das hat zu lange gedauert und wurde beendet. Bitte versuchen Sie es erneut.",
    "lost": "Der Server wurde unterbrochen. Bitte versuchen Sie es erneut.",
    "button_gone": "Diese Schaltfläche gibt es nicht mehr. Laden Sie die Seite neu.",
    "stale_page": "Diese Seite ist zu alt. Laden Sie sie neu und versuchen Sie es noch einmal.",
    "too_many": "Es laufen zu viele Ihrer Downloads. Warten Sie, bis einer beendet ist.",
    "unavailable": (
        "Der Server kann das jetzt nicht starten. Bitte versuchen Sie es in einer Minute erneut."
    ),
    "too_many_files": "Ein Klick kann {limit} Dateien erstellen, nicht mehr.",
    "too_large_files": "Ein Klick kann Dateien von zusammen {limit} erstellen, nicht mehr.",
    "not_stored": (
        "Die Datei konnte nicht gespeichert werden. Bitte versuchen Sie es später erneut."
    ),
    "not_read": (
        "Die Datei ist gerade nicht lesbar. Bitte versuchen Sie es in einer Minute erneut."
    ),
    "archive_name": "dateien.zip",
    "stage_percent": "{stage}: {percent}\u00a0%",
    "percent": "{percent}\u00a0%",
    "size": "{number}\u00a0{unit}",
    "size_units": "B kB MB GB TB",
    "decimal_point": ",",
    "eta_seconds": "noch weniger als eine Minute",
    "eta_minutes": "noch etwa {minutes} Min.",
    "eta_hours": "noch etwa {hours} Std.",
    "back": "Zurück",
    "continue": "Weiter",
    "refreshing": "Diese Seite aktualisiert sich selbst.",
    "title_queued": "Wartet",
    "title_running": "In Arbeit",
    "title_ready": "Fertig",
    "title_failed": "Fehlgeschlagen",
    "title_cancelled": "Abgebrochen",
    "title_expired": "Abgelaufen",
    "ready_page": "Ihre Dateien sind fertig.",
    "error_400_title": "Diese Anfrage war nicht zu verstehen",
    "error_400": "Gehen Sie zurück, laden Sie die Seite neu und versuchen Sie es noch einmal.",
    "error_403_title": "Nicht für Sie",
    "error_403": "Dieser Link ist ungültig, nicht mehr gültig oder gehört jemand anderem.",
    "error_404_title": "Nicht gefunden",
    "error_404": "Hier ist nichts, oder es gehört jemand anderem.",
    "error_410_title": "Datei abgelaufen",
    "error_410": (
        "Diese Datei wird nicht mehr aufbewahrt. Gehen Sie zurück und erstellen Sie sie neu."
    ),
    "error_413_title": "Zu groß",
    "error_413": "Was Sie gesendet haben, ist größer, als diese Seite annimmt.",
    "error_416_title": "Diesen Teil gibt es nicht",
    "error_416": "Die Datei hat diesen Teil nicht. Starten Sie den Download neu.",
    "error_422_title": "Es wurde nichts begonnen",
    "error_429_title": "Zu viele auf einmal",
    "error_429": (
        "Warten Sie, bis einer Ihrer Downloads beendet ist, und versuchen Sie es dann erneut."
    ),
    "error_500_title": "Etwas ist schiefgegangen",
    "error_500": "Es wurde vermerkt. Bitte versuchen Sie es später erneut.",
    "error_503_title": "Einen Augenblick",
    "error_503": "Der Server startet neu. Bitte versuchen Sie es in einer Minute erneut.",
}
