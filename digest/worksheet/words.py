"""The words of the worksheet in five languages: sheet names, headings, messages and the Read me."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from digest.model import normalise

LANGUAGES = ("en", "de", "de-CH", "fr", "it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    r"""One language.

    Attributes:
        sheets: sheet key to sheet name; Excel allows 31 characters and none of []:*?/\.
        headings: column key to heading.
        labels: other words on the sheets; `month_names` is Excel's mark for a language in a date format.
        messages: what data validation says.
        readme: paragraphs of the Read me; a pair is a step with its explanation.
        kinds: what a segment is called, by kind.
    """

    sheets: Mapping[str, str]
    headings: Mapping[str, str]
    labels: Mapping[str, str]
    messages: Mapping[str, str]
    readme: tuple[tuple[str, str], ...]
    kinds: Mapping[str, str]


_EN = Words(
    sheets={
        "example_goals": "Example - monthly revenue goals",
        "example_sla": "Example - SLA",
        "goals": "Monthly revenue goals",
        "sla": "SLA",
        "readme": "Read me",
        "calendar": "Calendar",
        "actual": "Actual",
        "rates": "Rates",
    },
    headings={
        "segment": "Segment",
        "currency": "Currency",
        "rate": "Plan rate",
        "year": "Year",
        "valid_from": "Valid from",
        "deal_size": "Average deal size",
        "marketing_share": "Marketing share",
        "sales_share": "Sales share",
        "close_rate": "Close rate",
        "sales_deal_size": "Sales deal size",
        "sales_close_rate": "Sales close rate",
        "lead_value": "Lead value",
        "sales_lead_value": "Sales lead value",
        "shares_total": "Shares in total",
        "note": "Note",
        "terms_from": "Terms from",
        "revenue_goal": "Revenue goal",
        "marketing_revenue": "Marketing revenue",
        "customers": "Customers",
        "goal": "Marketing leads",
        "sales_goal": "Sales leads",
        "value": "Value",
        "actual": "Leads generated",
        "attainment": "Percent of goal",
        "missing": "Leads missing",
        "per_workday": "Leads per workday",
        "date": "Date",
        "leads": "Leads",
        "weight": "Weight",
        "reason": "Reason",
        "month": "Month",
        "plan_currency": "Plan currency",
    },
    labels={
        "input": "enter",
        "optional": "optional",
        "formula": "formula",
        "total": "Total",
        "year_card": "Year",
        "terms_title": "Steps 2 to 4: what we agreed",
        "cards_title": "Steps 5 and 6: the SLA, and how each month went",
        "plan_currency": "Plan currency",
        "goals_subtitle": "Step 1. Revenue goal per {kind} and month, each in its own currency; "
        "totals in the plan currency.",
        "sla_subtitle": (
            "Agreed between marketing and sales. A later “Valid from” replaces the line before it."
        ),
        "example_subtitle": "A filled example. Nothing here is read; write on sheets 3 and 4.",
        "actual_subtitle": "Leads by day, or by month on its first day. "
        "digest worksheet fill writes them here.",
        "rates_subtitle": (
            "One fixed rate per foreign currency for the whole year: 1 unit = … in the plan "
            "currency."
        ),
        "calendar_subtitle": "Days that count towards the goal: 1 workday, 0.5 half a day, 0 free.",
        "calendar_hint": "Optional: only “Leads per workday” on the sheet SLA needs them.",
        "unassigned": "(unassigned)",
        "in_force": "in force",
        "month_names": "",
        "line": "line",
        "workdays": "workdays",
        "weekend": "weekend",
        "closure": "closed",
        "day_off": "day off",
        "half_day": "half day",
    },
    messages={
        "ratio": "Enter a share between 0% and 100%, for example 60%.",
        "rate": "Enter a rate above 0% and at most 100%, for example 4%.",
        "money": "Enter an amount of 0 or more, without a currency.",
        "month": "Enter the first day of a month, for example 1 January 2026.",
        "date": "Enter a date.",
        "currency": "Enter a currency code of three letters, for example CHF or EUR.",
        "segment": "Choose a name from sheet 3.",
        "count": "Enter a whole number of 0 or more.",
        "weight": "Enter 1 for a workday, 0.5 for half a day, 0 for a free day.",
        "plan_rate": "Enter a rate above 0.",
        "title": "Please check",
    },
    readme=(
        ("The SLA between marketing and sales", ""),
        (
            "",
            (
                "This workbook holds what marketing promises sales: how many leads, month by "
                "month. Fill the cells "
                "with a yellow background; everything else is computed. Sheets 1 and 2 show a "
                "filled example, sheets "
                "3 and 4 are yours."
            ),
        ),
        (
            "What a lead is",
            (
                "A lead counts on the day it first reaches the stage you agreed on, and it keeps "
                "counting when sales "
                "moves it on. Write your definition here, so that nobody has to remember it."
            ),
        ),
        (
            "1  Revenue goals",
            (
                "On sheet 3, name your segments: regions, personas or channels. Enter the "
                "revenue each of them wants "
                "per month, in its own currency. For each currency that is not the plan's, enter "
                "one rate on the sheet “Rates”."
            ),
        ),
        (
            "2  Average deal size",
            (
                "On sheet 4, enter the mean amount of a won deal. Deal size times close rate is what "
                "a lead is worth."
            ),
        ),
        (
            "3  Shares",
            (
                "Decide which part of the revenue comes from leads of marketing and which part "
                "sales sources itself. "
                "The two add up to 100%."
            ),
        ),
        (
            "4  Close rate",
            (
                "Enter the share of leads that become customers. If leads that sales sources "
                "itself close differently, "
                "fill the two optional columns."
            ),
        ),
        (
            "5  The SLA",
            (
                "The lower part of sheet 4 turns revenue into customers and customers into "
                "leads, rounded up once. To "
                "set a goal by hand, unprotect the sheet (no password) and type a number over the formula."
            ),
        ),
        (
            "6  Month by month",
            (
                "Leads generated come from the sheet “Actual”. Percent of goal and leads missing "
                "follow from them; "
                "leads without a segment are listed there and belong to none."
            ),
        ),
        (
            "When something changes",
            (
                "Add a line on sheet 4 with the same segment and the month from which it holds. "
                "Months before it keep "
                "what was agreed then."
            ),
        ),
        (
            "Checking",
            (
                "digest worksheet check compares every formula with the digest's own calculation "
                "and names each "
                "cell that differs."
            ),
        ),
    ),
    kinds={"region": "region", "persona": "persona", "channel": "channel"},
)

_DE_CH = Words(
    sheets={
        "example_goals": "Beispiel - Umsatzziele",
        "example_sla": "Beispiel - SLA",
        "goals": "Umsatzziele pro Monat",
        "sla": "SLA",
        "readme": "Lies mich",
        "calendar": "Kalender",
        "actual": "Ist",
        "rates": "Kurse",
    },
    headings={
        "segment": "Segment",
        "currency": "Währung",
        "rate": "Plankurs",
        "year": "Jahr",
        "valid_from": "Gültig ab",
        "deal_size": "Ø Auftragsvolumen",
        "marketing_share": "Marketinganteil",
        "sales_share": "Vertriebsanteil",
        "close_rate": "Abschlussrate",
        "sales_deal_size": "Ø Volumen Vertrieb",
        "sales_close_rate": "Abschlussrate Vertrieb",
        "lead_value": "Lead-Wert",
        "sales_lead_value": "Lead-Wert Vertrieb",
        "shares_total": "Anteile zusammen",
        "note": "Notiz",
        "terms_from": "Bedingungen ab",
        "revenue_goal": "Umsatzziel",
        "marketing_revenue": "Umsatz Marketing",
        "customers": "Kunden",
        "goal": "Leads Marketing",
        "sales_goal": "Leads Vertrieb",
        "value": "Wert",
        "actual": "Leads erreicht",
        "attainment": "Zielerreichung",
        "missing": "Leads fehlend",
        "per_workday": "Leads pro Arbeitstag",
        "date": "Datum",
        "leads": "Leads",
        "weight": "Gewicht",
        "reason": "Grund",
        "month": "Monat",
        "plan_currency": "Planwährung",
    },
    labels={
        "input": "eingeben",
        "optional": "optional",
        "formula": "Formel",
        "total": "Total",
        "year_card": "Jahr",
        "terms_title": "Schritte 2 bis 4: was wir vereinbart haben",
        "cards_title": "Schritte 5 und 6: das SLA und wie jeder Monat lief",
        "plan_currency": "Planwährung",
        "goals_subtitle": "Schritt 1. Umsatzziel pro {kind} und Monat, in der jeweiligen Währung; "
        "Totale in der Planwährung.",
        "sla_subtitle": (
            "Vereinbart zwischen Marketing und Vertrieb. Ein späteres «Gültig ab» ersetzt die Zeile "
            "davor."
        ),
        "example_subtitle": (
            "Ein ausgefülltes Beispiel. Hier wird nichts gelesen; schreibe auf Blatt 3 und 4."
        ),
        "actual_subtitle": (
            "Leads pro Tag, oder pro Monat am Monatsersten. digest worksheet fill schreibt sie "
            "hierher."
        ),
        "rates_subtitle": (
            "Ein fester Kurs pro Fremdwährung für das ganze Jahr: 1 Einheit = … in der Planwährung."
        ),
        "calendar_subtitle": "Tage, die für das Ziel zählen: 1 Arbeitstag, 0.5 halber Tag, 0 frei.",
        "calendar_hint": "Nicht zwingend: Nur «Leads pro Arbeitstag» auf dem Blatt SLA braucht sie.",
        "unassigned": "(ohne Zuordnung)",
        "in_force": "gilt",
        "month_names": "[$-807]",
        "line": "Zeile",
        "workdays": "Arbeitstage",
        "weekend": "Wochenende",
        "closure": "Betriebsferien",
        "day_off": "frei",
        "half_day": "halber Tag",
    },
    messages={
        "ratio": "Gib einen Anteil zwischen 0% und 100% ein, zum Beispiel 60%.",
        "rate": "Gib eine Rate über 0% und höchstens 100% ein, zum Beispiel 4%.",
        "money": "Gib einen Betrag von 0 oder mehr ein, ohne Währung.",
        "month": "Gib den ersten Tag eines Monats ein, zum Beispiel 01.01.2026.",
        "date": "Gib ein Datum ein.",
        "currency": "Gib einen Währungscode mit drei Buchstaben ein, zum Beispiel CHF oder EUR.",
        "segment": "Wähle einen Namen von Blatt 3.",
        "count": "Gib eine ganze Zahl von 0 oder mehr ein.",
        "weight": "Gib 1 für einen Arbeitstag ein, 0.5 für einen halben, 0 für einen freien Tag.",
        "plan_rate": "Gib einen Kurs über 0 ein.",
        "title": "Bitte prüfen",
    },
    readme=(
        ("Das SLA zwischen Marketing und Vertrieb", ""),
        (
            "",
            (
                "Diese Mappe hält fest, was das Marketing dem Vertrieb verspricht: wie viele "
                "Leads, Monat für Monat. "
                "Fülle die gelb hinterlegten Zellen aus; alles andere wird berechnet. Blatt 1 "
                "und 2 zeigen ein "
                "Beispiel, Blatt 3 und 4 gehören dir."
            ),
        ),
        (
            "Was ein Lead ist",
            (
                "Ein Lead zählt an dem Tag, an dem er die vereinbarte Stufe zum ersten Mal "
                "erreicht, und zählt weiter, "
                "wenn der Vertrieb ihn weiterführt. Schreibe eure Definition hierher, damit sie "
                "niemand im Kopf haben muss."
            ),
        ),
        (
            "1  Umsatzziele",
            (
                "Benenne auf Blatt 3 deine Segmente: Regionen, Personas oder Kanäle. Trage pro "
                "Monat den gewünschten "
                "Umsatz in der jeweiligen Währung ein. Gib für jede Währung, die nicht die "
                "Planwährung ist, auf dem Blatt «Kurse» einen Kurs an."
            ),
        ),
        (
            "2  Durchschnittliches Auftragsvolumen",
            (
                "Trage auf Blatt 4 den mittleren Betrag eines gewonnenen Auftrags ein. Auftragsvolumen mal "
                "Abschlussrate ist der Wert eines Leads."
            ),
        ),
        (
            "3  Anteile",
            (
                "Legt fest, welcher Teil des Umsatzes aus Leads des Marketings stammt und "
                "welchen der Vertrieb selbst "
                "findet. Beide ergeben zusammen 100%."
            ),
        ),
        (
            "4  Abschlussrate",
            (
                "Trage ein, welcher Anteil der Leads zu Kunden wird. Schliessen die eigenen "
                "Leads des Vertriebs anders "
                "ab, fülle die zwei optionalen Spalten aus."
            ),
        ),
        (
            "5  Das SLA",
            (
                "Der untere Teil von Blatt 4 rechnet Umsatz in Kunden und Kunden in Leads um, "
                "einmal aufgerundet. Für "
                "ein Ziel von Hand hebe den Blattschutz auf (ohne Passwort) und überschreibe die "
                "Formel mit einer Zahl."
            ),
        ),
        (
            "6  Monat für Monat",
            (
                "Die erreichten Leads kommen vom Blatt «Ist». Zielerreichung und fehlende Leads "
                "folgen daraus; Leads "
                "ohne Zuordnung stehen dort und gehören zu keinem Segment."
            ),
        ),
        (
            "Wenn sich etwas ändert",
            (
                "Ergänze auf Blatt 4 eine Zeile mit demselben Segment und dem Monat, ab dem sie "
                "gilt. Frühere Monate "
                "behalten, was damals vereinbart war."
            ),
        ),
        (
            "Prüfen",
            (
                "digest worksheet check vergleicht jede Formel mit der eigenen Rechnung des "
                "Digests und nennt jede "
                "Zelle, die abweicht."
            ),
        ),
    ),
    kinds={"region": "Region", "persona": "Persona", "channel": "Kanal"},
)

_FR = Words(
    sheets={
        "example_goals": "Exemple - objectifs de CA",
        "example_sla": "Exemple - SLA",
        "goals": "Objectifs mensuels de CA",
        "sla": "SLA",
        "readme": "Lisez-moi",
        "calendar": "Calendrier",
        "actual": "Réalisé",
        "rates": "Cours",
    },
    headings={
        "segment": "Segment",
        "currency": "Monnaie",
        "rate": "Cours du plan",
        "year": "Année",
        "valid_from": "Valable dès",
        "deal_size": "Montant moyen",
        "marketing_share": "Part du marketing",
        "sales_share": "Part des ventes",
        "close_rate": "Taux de conclusion",
        "sales_deal_size": "Montant moyen ventes",
        "sales_close_rate": "Taux de conclusion ventes",
        "lead_value": "Valeur d’un lead",
        "sales_lead_value": "Valeur d’un lead ventes",
        "shares_total": "Somme des parts",
        "note": "Remarque",
        "terms_from": "Conditions dès",
        "revenue_goal": "Objectif de CA",
        "marketing_revenue": "CA du marketing",
        "customers": "Clients",
        "goal": "Leads marketing",
        "sales_goal": "Leads ventes",
        "value": "Valeur",
        "actual": "Leads obtenus",
        "attainment": "Objectif atteint",
        "missing": "Leads manquants",
        "per_workday": "Leads par jour ouvré",
        "date": "Date",
        "leads": "Leads",
        "weight": "Poids",
        "reason": "Motif",
        "month": "Mois",
        "plan_currency": "Monnaie du plan",
    },
    labels={
        "input": "à saisir",
        "optional": "facultatif",
        "formula": "formule",
        "total": "Total",
        "year_card": "Année",
        "terms_title": "Étapes 2 à 4 : ce que nous avons convenu",
        "cards_title": "Étapes 5 et 6 : le SLA et le déroulement de chaque mois",
        "plan_currency": "Monnaie du plan",
        "goals_subtitle": (
            "Étape 1. Objectif de chiffre d’affaires par {kind} et par mois, chacun dans sa "
            "monnaie ; totaux dans la monnaie du plan."
        ),
        "sla_subtitle": (
            "Convenu entre marketing et ventes. Un « Valable dès » plus récent remplace la ligne "
            "précédente."
        ),
        "example_subtitle": "Un exemple rempli. Rien n’est lu ici ; écrivez sur les feuilles 3 et 4.",
        "actual_subtitle": (
            "Leads par jour, ou par mois au premier du mois. digest worksheet fill les écrit ici."
        ),
        "rates_subtitle": (
            "Un cours fixe par monnaie étrangère pour toute l’année : 1 unité = … dans la monnaie du "
            "plan."
        ),
        "calendar_subtitle": (
            "Jours qui comptent pour l’objectif : 1 jour ouvré, 0,5 demi-journée, 0 libre."
        ),
        "calendar_hint": "Facultatif : seuls les « Leads par jour ouvré » de la feuille SLA en ont besoin.",
        "unassigned": "(non attribué)",
        "in_force": "en vigueur",
        "month_names": "[$-100C]",
        "line": "ligne",
        "workdays": "jours ouvrés",
        "weekend": "week-end",
        "closure": "fermeture",
        "day_off": "congé",
        "half_day": "demi-journée",
    },
    messages={
        "ratio": "Saisissez une part entre 0 % et 100 %, par exemple 60 %.",
        "rate": "Saisissez un taux supérieur à 0 % et d’au plus 100 %, par exemple 4 %.",
        "money": "Saisissez un montant de 0 ou plus, sans monnaie.",
        "month": "Saisissez le premier jour d’un mois, par exemple 01.01.2026.",
        "date": "Saisissez une date.",
        "currency": "Saisissez un code de trois lettres, par exemple CHF ou EUR.",
        "segment": "Choisissez un nom de la feuille 3.",
        "count": "Saisissez un nombre entier de 0 ou plus.",
        "weight": "Saisissez 1 pour un jour ouvré, 0,5 pour une demi-journée, 0 pour un jour libre.",
        "plan_rate": "Saisissez un cours supérieur à 0.",
        "title": "À vérifier",
    },
    readme=(
        ("Le SLA entre marketing et ventes", ""),
        (
            "",
            (
                "Ce classeur contient ce que le marketing promet aux ventes : combien de leads, "
                "mois par mois. "
                "Remplissez les cellules à fond jaune ; tout le reste est calculé. Les feuilles "
                "1 et 2 montrent un "
                "exemple, les feuilles 3 et 4 sont à vous."
            ),
        ),
        (
            "Ce qu’est un lead",
            (
                "Un lead compte le jour où il atteint pour la première fois l’étape convenue, et "
                "continue de compter "
                "quand les ventes le font avancer. Écrivez votre définition ici, pour que "
                "personne n’ait à s’en souvenir."
            ),
        ),
        (
            "1  Objectifs de chiffre d’affaires",
            (
                "Sur la feuille 3, nommez vos segments : régions, personas ou canaux. Saisissez "
                "le chiffre d’affaires "
                "voulu par mois, dans la monnaie de chacun. Pour chaque monnaie autre que celle du "
                "plan, saisissez un cours sur la feuille « Cours »."
            ),
        ),
        (
            "2  Montant moyen",
            (
                "Sur la feuille 4, saisissez le montant moyen d’une affaire gagnée. Montant fois "
                "taux de conclusion "
                "donne la valeur d’un lead."
            ),
        ),
        (
            "3  Parts",
            (
                "Décidez quelle part du chiffre d’affaires vient des leads du marketing et "
                "laquelle les ventes trouvent "
                "elles-mêmes. Les deux font ensemble 100 %."
            ),
        ),
        (
            "4  Taux de conclusion",
            (
                "Saisissez la part des leads qui deviennent clients. Si les leads trouvés par "
                "les ventes se concluent "
                "autrement, remplissez les deux colonnes facultatives."
            ),
        ),
        (
            "5  Le SLA",
            (
                "Le bas de la feuille 4 convertit le chiffre d’affaires en clients et les "
                "clients en leads, arrondis une "
                "fois vers le haut. Pour fixer un objectif à la main, ôtez la protection (sans "
                "mot de passe) et écrivez un "
                "nombre sur la formule."
            ),
        ),
        (
            "6  Mois par mois",
            (
                "Les leads obtenus viennent de la feuille « Réalisé ». Le pourcentage et les "
                "leads manquants en découlent ; "
                "les leads non attribués y figurent et n’appartiennent à aucun segment."
            ),
        ),
        (
            "Quand quelque chose change",
            (
                "Ajoutez sur la feuille 4 une ligne avec le même segment et le mois dès lequel "
                "elle vaut. Les mois "
                "précédents gardent ce qui était convenu alors."
            ),
        ),
        (
            "Vérifier",
            (
                "digest worksheet check compare chaque formule avec le calcul du digest et nomme "
                "chaque cellule qui "
                "diffère."
            ),
        ),
    ),
    kinds={"region": "région", "persona": "persona", "channel": "canal"},
)

_IT = Words(
    sheets={
        "example_goals": "Esempio - obiettivi fatturato",
        "example_sla": "Esempio - SLA",
        "goals": "Obiettivi mensili fatturato",
        "sla": "SLA",
        "readme": "Leggimi",
        "calendar": "Calendario",
        "actual": "Consuntivo",
        "rates": "Cambi",
    },
    headings={
        "segment": "Segmento",
        "currency": "Valuta",
        "rate": "Cambio del piano",
        "year": "Anno",
        "valid_from": "Valido dal",
        "deal_size": "Valore medio ordine",
        "marketing_share": "Quota marketing",
        "sales_share": "Quota vendite",
        "close_rate": "Tasso di chiusura",
        "sales_deal_size": "Valore medio vendite",
        "sales_close_rate": "Tasso di chiusura vendite",
        "lead_value": "Valore di un lead",
        "sales_lead_value": "Valore di un lead vendite",
        "shares_total": "Somma delle quote",
        "note": "Nota",
        "terms_from": "Condizioni dal",
        "revenue_goal": "Obiettivo di fatturato",
        "marketing_revenue": "Fatturato marketing",
        "customers": "Clienti",
        "goal": "Lead marketing",
        "sales_goal": "Lead vendite",
        "value": "Valore",
        "actual": "Lead generati",
        "attainment": "Obiettivo raggiunto",
        "missing": "Lead mancanti",
        "per_workday": "Lead per giorno lavorativo",
        "date": "Data",
        "leads": "Lead",
        "weight": "Peso",
        "reason": "Motivo",
        "month": "Mese",
        "plan_currency": "Valuta del piano",
    },
    labels={
        "input": "da inserire",
        "optional": "facoltativo",
        "formula": "formula",
        "total": "Totale",
        "year_card": "Anno",
        "terms_title": "Passi da 2 a 4: che cosa abbiamo concordato",
        "cards_title": "Passi 5 e 6: lo SLA e come è andato ogni mese",
        "plan_currency": "Valuta del piano",
        "goals_subtitle": (
            "Passo 1. Obiettivo di fatturato per {kind} e mese, ciascuno nella propria valuta; "
            "totali nella valuta del piano."
        ),
        "sla_subtitle": (
            "Concordato fra marketing e vendite. Un «Valido dal» più recente sostituisce la riga "
            "precedente."
        ),
        "example_subtitle": "Un esempio compilato. Qui non si legge nulla; scrivi sui fogli 3 e 4.",
        "actual_subtitle": (
            "Lead per giorno, o per mese al primo del mese. digest worksheet fill li scrive qui."
        ),
        "rates_subtitle": (
            "Un cambio fisso per valuta estera per tutto l’anno: 1 unità = … nella valuta del piano."
        ),
        "calendar_subtitle": (
            "Giorni che contano per l’obiettivo: 1 lavorativo, 0,5 mezza giornata, 0 libero."
        ),
        "calendar_hint": "Facoltativo: servono solo ai «Lead per giorno lavorativo» del foglio SLA.",
        "unassigned": "(non assegnato)",
        "in_force": "in vigore",
        "month_names": "[$-810]",
        "line": "riga",
        "workdays": "giorni lavorativi",
        "weekend": "fine settimana",
        "closure": "chiusura",
        "day_off": "libero",
        "half_day": "mezza giornata",
    },
    messages={
        "ratio": "Inserisci una quota fra 0% e 100%, per esempio 60%.",
        "rate": "Inserisci un tasso superiore a 0% e al massimo 100%, per esempio 4%.",
        "money": "Inserisci un importo di 0 o più, senza valuta.",
        "month": "Inserisci il primo giorno di un mese, per esempio 01.01.2026.",
        "date": "Inserisci una data.",
        "currency": "Inserisci un codice di tre lettere, per esempio CHF o EUR.",
        "segment": "Scegli un nome dal foglio 3.",
        "count": "Inserisci un numero intero di 0 o più.",
        "weight": "Inserisci 1 per un giorno lavorativo, 0,5 per mezza giornata, 0 per un giorno libero.",
        "plan_rate": "Inserisci un cambio superiore a 0.",
        "title": "Da verificare",
    },
    readme=(
        ("Lo SLA fra marketing e vendite", ""),
        (
            "",
            (
                "Questa cartella contiene ciò che il marketing promette alle vendite: quanti "
                "lead, mese per mese. Compila "
                "le celle con sfondo giallo; tutto il resto è calcolato. I fogli 1 e 2 mostrano "
                "un esempio, i fogli 3 e 4 "
                "sono tuoi."
            ),
        ),
        (
            "Che cos’è un lead",
            (
                "Un lead conta il giorno in cui raggiunge per la prima volta la fase concordata, "
                "e continua a contare "
                "quando le vendite lo fanno avanzare. Scrivi qui la vostra definizione, così "
                "nessuno deve ricordarla."
            ),
        ),
        (
            "1  Obiettivi di fatturato",
            (
                "Sul foglio 3 dai un nome ai segmenti: regioni, personas o canali. Inserisci il "
                "fatturato voluto per mese, "
                "ciascuno nella propria valuta. Per ogni valuta diversa da quella del piano, "
                "inserisci un cambio nel foglio «Cambi»."
            ),
        ),
        (
            "2  Valore medio ordine",
            (
                "Sul foglio 4 inserisci l’importo medio di un ordine vinto. Valore medio per "
                "tasso di chiusura dà il valore "
                "di un lead."
            ),
        ),
        (
            "3  Quote",
            (
                "Decidete quale parte del fatturato viene dai lead del marketing e quale le "
                "vendite trovano da sé. Insieme "
                "fanno 100%."
            ),
        ),
        (
            "4  Tasso di chiusura",
            (
                "Inserisci la quota di lead che diventano clienti. Se i lead trovati dalle "
                "vendite si chiudono in modo "
                "diverso, compila le due colonne facoltative."
            ),
        ),
        (
            "5  Lo SLA",
            (
                "La parte bassa del foglio 4 converte il fatturato in clienti e i clienti in "
                "lead, arrotondati una volta per "
                "eccesso. Per fissare un obiettivo a mano togli la protezione (senza password) e "
                "scrivi un numero sulla "
                "formula."
            ),
        ),
        (
            "6  Mese per mese",
            (
                "I lead generati vengono dal foglio «Consuntivo». Percentuale e lead mancanti ne "
                "derivano; i lead non "
                "assegnati sono elencati lì e non appartengono ad alcun segmento."
            ),
        ),
        (
            "Quando qualcosa cambia",
            (
                "Aggiungi sul foglio 4 una riga con lo stesso segmento e il mese da cui vale. I "
                "mesi precedenti conservano "
                "quanto concordato allora."
            ),
        ),
        (
            "Verificare",
            (
                "digest worksheet check confronta ogni formula con il calcolo del digest e "
                "indica ogni cella che "
                "differisce."
            ),
        ),
    ),
    kinds={"region": "regione", "persona": "persona", "channel": "canale"},
)


def _french(text: str) -> str:
    """Set the narrow spaces of French print, which nobody sees in a source file."""
    return re.sub(r" (?=[:;!?%»])|(?<=«) ", "\u202f", text)


def _german(text: str) -> str:
    """Germany writes what Switzerland writes, but for quotation marks, comma, percent and one ß."""
    text = re.sub(r"(?<=\d)%", " %", text)
    for swiss, german in (("«", "„"), ("»", "“"), ("Schliessen", "Schließen"), ("0.5", "0,5")):
        text = text.replace(swiss, german)
    return text


def _rewritten(words: Words, rule: Callable[[str], str]) -> Words:
    return Words(
        sheets=words.sheets,
        headings=words.headings,
        labels={key: rule(text) for key, text in words.labels.items()},
        messages={key: rule(text) for key, text in words.messages.items()},
        readme=tuple((rule(head), rule(body)) for head, body in words.readme),
        kinds=words.kinds,
    )


_GERMANY = _rewritten(_DE_CH, _german)
_DE = replace(_GERMANY, labels={**_GERMANY.labels, "total": "Summe", "month_names": "[$-407]"})

WORDS: Mapping[str, Words] = {
    "en": _EN,
    "de": _DE,
    "de-CH": _DE_CH,
    "fr": _rewritten(_FR, _french),
    "it": _IT,
}

# What people write instead of our headings; in CSV files also the keys themselves.
_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "segment": (
        "region",
        "persona",
        "channel",
        "kanal",
        "région",
        "canal",
        "regione",
        "canale",
        "name",
    ),
    "currency": ("ccy", "devise", "moneta", "whg"),
    "rate": (
        "exchange rate",
        "kurs",
        "wechselkurs",
        "cours",
        "taux de change",
        "cambio",
        "plan rate",
    ),
    "valid_from": ("from", "effective from", "ab", "dès", "dal", "valable à partir de"),
    "deal_size": (
        "deal size",
        "avg deal size",
        "average deal",
        "auftragsvolumen",
        "durchschnittliches auftragsvolumen",
        "auftragsgrösse",
        "auftragsgröße",
        "valeur moyenne",
        "montant moyen d'une affaire",
        "valore medio",
        "importo medio",
    ),
    "marketing_share": ("marketing", "share of marketing", "anteil marketing", "part marketing"),
    "sales_share": ("sales", "share of sales", "anteil vertrieb", "verkaufsanteil", "part ventes"),
    "close_rate": (
        "closing rate",
        "win rate",
        "abschlussquote",
        "taux de closing",
        "tasso chiusura",
    ),
    "revenue_goal": ("revenue", "revenue target", "umsatz", "objectif", "fatturato"),
    "goal": ("leads goal", "lead goal", "marketing goal", "lead-ziel", "objectif de leads"),
    "month": ("mois", "mese", "monat"),
    "date": ("day", "tag", "jour", "giorno"),
    "leads": ("count", "anzahl", "nombre", "numero"),
}


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Return a heading without case, accents, punctuation and double spaces."""
    flat = unicodedata.normalize("NFD", normalise(text))
    letters = "".join(mark for mark in flat if not unicodedata.combining(mark))
    return " ".join(re.sub(r"[^\w%]+", " ", letters.replace("ø", "").replace("_", " ")).split())


def _known_headings() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for words in WORDS.values():
        for key, heading in words.headings.items():
            found.setdefault(key, set()).add(plain(heading))
    for key, synonyms in _SYNONYMS.items():
        found.setdefault(key, set()).update(plain(name) for name in synonyms)
    for key, names in found.items():
        names.add(plain(key))
    return {key: frozenset(names) for key, names in found.items()}


HEADINGS: Mapping[str, frozenset[str]] = _known_headings()


@cache
def label_in_any_language(key: str) -> frozenset[str]:
    """Every language's word for a label, in plain form."""
    return frozenset(plain(words.labels[key]) for words in WORDS.values())


@cache
def sheet_in_any_language(key: str) -> frozenset[str]:
    """Every language's name of a sheet, in plain form."""
    return frozenset(plain(words.sheets[key]) for words in WORDS.values())
