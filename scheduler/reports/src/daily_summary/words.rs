//! The words of the daily summary in every language.
//!
//! Placeholders in braces are filled by the builder. A term's formula is printed on the
//! definitions page and describes the column of the same name in the data files.

use crate::locale::Locale;

/// A figure: its name, a short name for narrow columns (empty: the same), its formula with
/// the denominator, and a remark for the reader.
pub(super) struct Term {
    pub(super) title: &'static str,
    pub(super) short: &'static str,
    pub(super) formula: &'static str,
    pub(super) remark: &'static str,
}

/// A section's title and the line under it.
pub(super) struct Heading {
    pub(super) title: &'static str,
    pub(super) explanation: &'static str,
}

pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) subtitle: &'static str,
    pub(super) empty: &'static str,
    pub(super) conversations: &'static str,
    pub(super) machine: &'static str,
    pub(super) no_answer: &'static str,
    pub(super) busy: &'static str,
    pub(super) other: &'static str,
    pub(super) hour_axis: &'static str,
    pub(super) hour_chart_alt: &'static str,
    pub(super) note_busiest: &'static str,
    pub(super) note_of_attempts: &'static str,
    pub(super) note_contacts: &'static str,
    pub(super) note_of_contacts: &'static str,
    pub(super) note_of_offered: &'static str,
    pub(super) note_handled: &'static str,
    pub(super) note_talk: &'static str,
    pub(super) note_p95: &'static str,
    pub(super) note_cost: &'static str,
    pub(super) attempts: Term,
    pub(super) answered: Term,
    pub(super) connect_rate: Term,
    pub(super) contacts: Term,
    pub(super) abandoned: Term,
    pub(super) abandon_rate: Term,
    pub(super) service_level: Term,
    pub(super) aht: Term,
    pub(super) talk: Term,
    pub(super) ring_p50: Term,
    pub(super) ring_p95: Term,
    pub(super) failed: Term,
    pub(super) failure_rate: Term,
    pub(super) cost: Term,
    pub(super) campaign: Term,
    pub(super) hour: Term,
    pub(super) carrier: Term,
    pub(super) outcome: Term,
    pub(super) cause: Term,
    pub(super) calls: Term,
    pub(super) share: Term,
    pub(super) hour_chart: Heading,
    pub(super) outcome_chart: Heading,
    pub(super) campaign_chart: Heading,
    pub(super) campaigns: Heading,
    pub(super) hours: Heading,
    pub(super) carriers: Heading,
    pub(super) causes: Heading,
    pub(super) outcomes: Heading,
    pub(super) intervals: Heading,
}

impl Words {
    pub(super) fn of(locale: Locale) -> &'static Self {
        match locale {
            Locale::En => &EN,
            Locale::Es => &ES,
            Locale::Cs => &CS,
        }
    }
}

const fn term(title: &'static str, short: &'static str, formula: &'static str, remark: &'static str) -> Term {
    Term {
        title,
        short,
        formula,
        remark,
    }
}

const fn heading(title: &'static str, explanation: &'static str) -> Heading {
    Heading { title, explanation }
}

static EN: Words = Words {
    title: "Daily summary",
    subtitle: "Calls of one day, compared with the day before",
    empty: "No calls were made or received on this day. All figures are therefore empty.",
    conversations: "Conversations",
    machine: "Machine",
    no_answer: "No answer",
    busy: "Busy",
    other: "All others",
    hour_axis: "Hour of day, {zone}",
    hour_chart_alt: "Stacked columns of attempts per hour by result, with the connect rate as a line. The busiest hour starts at {hour} with {a} attempts. The same figures are in the table of hours.",
    note_busiest: "busiest hour {hour}: {a}",
    note_of_attempts: "{a} of {b} attempts",
    note_contacts: "{rate} of attempts",
    note_of_contacts: "{a} of {b} contacts",
    note_of_offered: "{a} of {b} queued calls",
    note_handled: "{a} handled calls",
    note_talk: "talk time only, per handled call",
    note_p95: "95% within {p95}",
    note_cost: "{a} per contact",
    attempts: term(
        "Attempts",
        "",
        "Dials handed to a carrier.",
        "Inbound calls are not attempts.",
    ),
    answered: term(
        "Answered",
        "",
        "Attempts answered by anything, human or machine.",
        "",
    ),
    connect_rate: term(
        "Connect rate",
        "",
        "answered ÷ attempts",
        "High rates can come from voicemail; read it with the contacts.",
    ),
    contacts: term(
        "Contacts",
        "",
        "Attempts answered by a live person.",
        "Abandoned calls are included.",
    ),
    abandoned: term(
        "Abandoned",
        "",
        "Contacts to whom neither agent nor AI spoke within {after} s of the answer.",
        "",
    ),
    abandon_rate: term(
        "Abandon rate",
        "Aband. rate",
        "abandoned ÷ contacts",
        "Ceiling {ceiling}. The rule applies per campaign over 30 days; a single day is an early sign.",
    ),
    service_level: term(
        "Service level",
        "Service level",
        "answered by an agent within {sl} s ÷ (offered − abandoned within {short} s)",
        "Target {target}. Offered are the calls that entered an agent queue; calls the AI ends alone are not among them.",
    ),
    aht: term(
        "Average handle time",
        "AHT",
        "(talk + hold + after-call work) ÷ handled calls",
        "Handled are the conversations that agent or AI finished.",
    ),
    talk: term("Average talk time", "Avg. talk", "talk ÷ handled calls", ""),
    ring_p50: term(
        "Ring to answer, median",
        "Ring p50",
        "Half of the answered attempts took no longer from the first ring to the answer.",
        "Quantiles of rows cannot be added up; every row has its own.",
    ),
    ring_p95: term(
        "Ring to answer, 95th percentile",
        "Ring p95",
        "95% of the answered attempts took no longer from the first ring to the answer.",
        "One in twenty callers waited longer.",
    ),
    failed: term(
        "Failed",
        "",
        "Attempts that failed in the network, were rejected, or ended in no other group.",
        "",
    ),
    failure_rate: term(
        "Failure rate",
        "",
        "failed ÷ attempts",
        "A sudden rise at one carrier points to the route, not to the list.",
    ),
    cost: term(
        "Cost",
        "",
        "Telephony, AI and agent cost, as far as it is known.",
        "",
    ),
    campaign: term("Campaign", "", "Name of the campaign.", ""),
    hour: term("Starts at", "", "Local clock time the interval starts at.", ""),
    carrier: term("Carrier", "", "Carrier the attempt was handed to.", ""),
    outcome: term("Outcome", "", "Disposition of the call.", ""),
    cause: term("Hang-up cause", "", "Cause the call ended with.", ""),
    calls: term("Calls", "", "Number of calls.", ""),
    share: term("Share", "", "calls ÷ all calls of the table", ""),
    hour_chart: heading(
        "Calls per hour",
        "Attempts by result, stacked. The line is the share answered by anything, on the right-hand scale.",
    ),
    outcome_chart: heading(
        "Outcomes",
        "How calls were classed at their end, with the share of all classed calls.",
    ),
    campaign_chart: heading(
        "Top campaigns",
        "Campaigns with the most contacts. The percentage is contacts ÷ attempts.",
    ),
    campaigns: heading(
        "Campaigns",
        "All campaigns with attempts on this day, largest first.",
    ),
    hours: heading("Hours", "Every hour of the day by the local clock."),
    carriers: heading(
        "Carriers",
        "How each carrier performed. Rates are of the attempts handed to that carrier.",
    ),
    causes: heading("Hang-up causes", "Why calls ended, most frequent first."),
    outcomes: heading(
        "Outcome counts",
        "All outcomes with their share of classed calls.",
    ),
    intervals: heading("Intervals", "The day in its finest stored steps."),
};

static ES: Words = Words {
    title: "Resumen diario",
    subtitle: "Llamadas de un día, comparadas con el día anterior",
    empty: "Este día no se hicieron ni recibieron llamadas. Por eso todas las cifras están vacías.",
    conversations: "Conversaciones",
    machine: "Contestador",
    no_answer: "Sin respuesta",
    busy: "Ocupado",
    other: "Todos los demás",
    hour_axis: "Hora del día, {zone}",
    hour_chart_alt: "Columnas apiladas de intentos por hora según resultado, con la tasa de conexión como línea. La hora de más actividad empieza a las {hour} con {a} intentos. Las mismas cifras están en la tabla de horas.",
    note_busiest: "hora punta {hour}: {a}",
    note_of_attempts: "{a} de {b} intentos",
    note_contacts: "{rate} de los intentos",
    note_of_contacts: "{a} de {b} contactos",
    note_of_offered: "{a} de {b} llamadas en cola",
    note_handled: "{a} llamadas atendidas",
    note_talk: "solo conversación, por llamada atendida",
    note_p95: "el 95 % en {p95} o menos",
    note_cost: "{a} por contacto",
    attempts: term(
        "Intentos",
        "",
        "Marcaciones entregadas a un operador.",
        "Las llamadas entrantes no son intentos.",
    ),
    answered: term(
        "Contestados",
        "",
        "Intentos contestados por cualquiera, persona o máquina.",
        "",
    ),
    connect_rate: term(
        "Tasa de conexión",
        "Conexión",
        "contestados ÷ intentos",
        "Una tasa alta puede deberse a buzones de voz; conviene leerla junto con los contactos.",
    ),
    contacts: term(
        "Contactos",
        "",
        "Intentos contestados por una persona.",
        "Incluye las llamadas abandonadas.",
    ),
    abandoned: term(
        "Abandonados",
        "Aband.",
        "Contactos a los que ni agente ni IA habló en los {after} s siguientes a la respuesta.",
        "",
    ),
    abandon_rate: term(
        "Tasa de abandono",
        "Tasa aband.",
        "abandonados ÷ contactos",
        "Máximo {ceiling}. La norma se aplica por campaña durante 30 días; un solo día es una señal temprana.",
    ),
    service_level: term(
        "Nivel de servicio",
        "Nivel serv.",
        "contestadas por un agente en {sl} s ÷ (ofrecidas − abandonadas antes de {short} s)",
        "Objetivo {target}. Ofrecidas son las llamadas que entraron en una cola de agentes; las que la IA termina sola no se cuentan.",
    ),
    aht: term(
        "Tiempo medio de gestión",
        "TMG",
        "(conversación + espera + trabajo posterior) ÷ llamadas atendidas",
        "Atendidas son las conversaciones que terminó un agente o la IA.",
    ),
    talk: term(
        "Conversación media",
        "Conv. media",
        "conversación ÷ llamadas atendidas",
        "",
    ),
    ring_p50: term(
        "Timbre a respuesta, mediana",
        "Timbre p50",
        "La mitad de los intentos contestados no tardó más desde el primer timbre hasta la respuesta.",
        "Los cuantiles de las filas no se pueden sumar; cada fila tiene el suyo.",
    ),
    ring_p95: term(
        "Timbre a respuesta, percentil 95",
        "Timbre p95",
        "El 95 % de los intentos contestados no tardó más desde el primer timbre hasta la respuesta.",
        "Uno de cada veinte esperó más.",
    ),
    failed: term(
        "Fallidos",
        "",
        "Intentos que fallaron en la red, fueron rechazados o no pertenecen a otro grupo.",
        "",
    ),
    failure_rate: term(
        "Tasa de fallo",
        "Fallo",
        "fallidos ÷ intentos",
        "Una subida repentina en un operador apunta a la ruta, no a la lista.",
    ),
    cost: term(
        "Coste",
        "",
        "Coste de telefonía, IA y agentes, en la medida en que se conoce.",
        "",
    ),
    campaign: term("Campaña", "", "Nombre de la campaña.", ""),
    hour: term("Empieza", "", "Hora local a la que empieza el intervalo.", ""),
    carrier: term("Operador", "", "Operador al que se entregó el intento.", ""),
    outcome: term("Resultado", "", "Clasificación de la llamada.", ""),
    cause: term("Causa de fin", "", "Causa con la que terminó la llamada.", ""),
    calls: term("Llamadas", "", "Número de llamadas.", ""),
    share: term("Proporción", "", "llamadas ÷ todas las llamadas de la tabla", ""),
    hour_chart: heading(
        "Llamadas por hora",
        "Intentos por resultado, apilados. La línea es la proporción contestada por cualquiera, en la escala derecha.",
    ),
    outcome_chart: heading(
        "Resultados",
        "Cómo se clasificaron las llamadas al terminar, con su proporción del total clasificado.",
    ),
    campaign_chart: heading(
        "Campañas principales",
        "Campañas con más contactos. El porcentaje es contactos ÷ intentos.",
    ),
    campaigns: heading(
        "Campañas",
        "Todas las campañas con intentos este día, de mayor a menor.",
    ),
    hours: heading("Horas", "Cada hora del día según el reloj local."),
    carriers: heading(
        "Operadores",
        "Rendimiento de cada operador. Las tasas se refieren a los intentos entregados a ese operador.",
    ),
    causes: heading(
        "Causas de fin",
        "Por qué terminaron las llamadas, de más a menos frecuente.",
    ),
    outcomes: heading(
        "Recuento de resultados",
        "Todos los resultados con su proporción de llamadas clasificadas.",
    ),
    intervals: heading("Intervalos", "El día en los pasos más finos guardados."),
};

static CS: Words = Words {
    title: "Denní souhrn",
    subtitle: "Hovory jednoho dne ve srovnání s předchozím dnem",
    empty: "Tento den neproběhly žádné hovory. Všechny údaje jsou proto prázdné.",
    conversations: "Rozhovory",
    machine: "Záznamník",
    no_answer: "Bez odpovědi",
    busy: "Obsazeno",
    other: "Všechny ostatní",
    hour_axis: "Hodina dne, {zone}",
    hour_chart_alt: "Skládané sloupce pokusů za hodinu podle výsledku, míra spojení jako čára. Nejrušnější hodina začíná v {hour}, pokusů {a}. Stejné údaje jsou v tabulce hodin.",
    note_busiest: "nejrušnější hodina {hour}: {a}",
    note_of_attempts: "{a} z {b} pokusů",
    note_contacts: "{rate} pokusů",
    note_of_contacts: "{a} z {b} kontaktů",
    note_of_offered: "{a} z {b} hovorů ve frontě",
    note_handled: "vyřízených hovorů: {a}",
    note_talk: "jen doba hovoru, na vyřízený hovor",
    note_p95: "95 % do {p95}",
    note_cost: "{a} na kontakt",
    attempts: term(
        "Pokusy",
        "",
        "Vytáčení předaná operátorovi.",
        "Příchozí hovory nejsou pokusy.",
    ),
    answered: term("Přijaté", "", "Pokusy, které přijal kdokoli, člověk i stroj.", ""),
    connect_rate: term(
        "Míra spojení",
        "Spojení",
        "přijaté ÷ pokusy",
        "Vysoká míra může pocházet ze záznamníků; čtěte ji spolu s kontakty.",
    ),
    contacts: term(
        "Kontakty",
        "",
        "Pokusy, které přijal živý člověk.",
        "Včetně opuštěných hovorů.",
    ),
    abandoned: term(
        "Opuštěné",
        "",
        "Kontakty, na které do {after} s od přijetí nepromluvil agent ani AI.",
        "",
    ),
    abandon_rate: term(
        "Míra opuštění",
        "Opuštění",
        "opuštěné ÷ kontakty",
        "Strop {ceiling}. Pravidlo platí pro kampaň za 30 dní; jediný den je včasné varování.",
    ),
    service_level: term(
        "Úroveň služby",
        "Úr. služby",
        "přijaté agentem do {sl} s ÷ (nabídnuté − opuštěné do {short} s)",
        "Cíl {target}. Nabídnuté jsou hovory, které vstoupily do fronty agentů; hovory, které AI ukončí sama, se nepočítají.",
    ),
    aht: term(
        "Průměrná doba vyřízení",
        "AHT",
        "(hovor + přidržení + práce po hovoru) ÷ vyřízené hovory",
        "Vyřízené jsou rozhovory, které dokončil agent nebo AI.",
    ),
    talk: term("Průměrná doba hovoru", "Ø hovor", "hovor ÷ vyřízené hovory", ""),
    ring_p50: term(
        "Od zvonění k přijetí, medián",
        "Zvon. p50",
        "Polovina přijatých pokusů netrvala od prvního zazvonění do přijetí déle.",
        "Kvantily řádků nelze sčítat; každý řádek má svůj.",
    ),
    ring_p95: term(
        "Od zvonění k přijetí, 95. percentil",
        "Zvon. p95",
        "95 % přijatých pokusů netrvalo od prvního zazvonění do přijetí déle.",
        "Jeden z dvaceti čekal déle.",
    ),
    failed: term(
        "Neúspěšné",
        "",
        "Pokusy, které selhaly v síti, byly odmítnuty nebo nepatří do jiné skupiny.",
        "",
    ),
    failure_rate: term(
        "Míra selhání",
        "Selhání",
        "neúspěšné ÷ pokusy",
        "Náhlý růst u jednoho operátora ukazuje na trasu, ne na seznam.",
    ),
    cost: term(
        "Náklady",
        "",
        "Náklady na telefonii, AI a agenty, pokud jsou známy.",
        "",
    ),
    campaign: term("Kampaň", "", "Název kampaně.", ""),
    hour: term("Začátek", "", "Místní čas, kdy interval začíná.", ""),
    carrier: term("Operátor", "", "Operátor, kterému byl pokus předán.", ""),
    outcome: term("Výsledek", "", "Zařazení hovoru.", ""),
    cause: term("Příčina ukončení", "", "Příčina, se kterou hovor skončil.", ""),
    calls: term("Hovory", "", "Počet hovorů.", ""),
    share: term("Podíl", "", "hovory ÷ všechny hovory tabulky", ""),
    hour_chart: heading(
        "Hovory po hodinách",
        "Pokusy podle výsledku, skládané. Čára je podíl přijatých kýmkoli, na pravé stupnici.",
    ),
    outcome_chart: heading(
        "Výsledky",
        "Jak byly hovory na konci zařazeny, s podílem na všech zařazených.",
    ),
    campaign_chart: heading(
        "Největší kampaně",
        "Kampaně s nejvíce kontakty. Procento je kontakty ÷ pokusy.",
    ),
    campaigns: heading("Kampaně", "Všechny kampaně s pokusy v tento den, od největší."),
    hours: heading("Hodiny", "Každá hodina dne podle místního času."),
    carriers: heading(
        "Operátoři",
        "Jak si vedl každý operátor. Podíly se vztahují k pokusům předaným tomuto operátorovi.",
    ),
    causes: heading("Příčiny ukončení", "Proč hovory skončily, od nejčastější."),
    outcomes: heading(
        "Počty výsledků",
        "Všechny výsledky s podílem na zařazených hovorech.",
    ),
    intervals: heading("Intervaly", "Den v nejjemnějších uložených krocích."),
};
