/*
 * NAME fuzz_fhir_xml - the FHIR parser against hostile XML. See fuzz_fhir.h.
 */
#include "fuzz_fhir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_one(data, size);
}

#ifdef FUZZ_STANDALONE
static const char own_input[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Bundle xmlns=\"http://hl7.org/fhir\"><identifier><value value=\"b\"/></identifier><type value=\"collection\"/>"
    "<entry><fullUrl value=\"urn:uuid:1\"/><resource><Patient><id value=\"p\"/><text><status value=\"generated\"/><div xmlns=\"http://www.w3.org/1999/xhtml\"><p>"
        "x</p></div></text>"
    "<identifier><value value=\"1\"/></identifier><name><family value=\"F\"/><given value=\"G\"/><given id=\"x\" value=\"H\"/></name><birthDate><extension url="
        "\"u\"><valueCode value=\"unknown\"/></extension></birthDate></Patient></resource></entry>"
    "<entry><fullUrl value=\"urn:uuid:2\"/><resource><Observation><contained><Specimen><id value=\"s\"/></Specimen></contained><status value=\"final\"/><code><"
        "coding><system value=\"http://loinc.org\"/><code value=\"41636-2\"/></coding></code>"
    "<subject><reference value=\"urn:uuid:1\"/></subject><valueQuantity><value value=\"1.00\"/></valueQuantity><interpretation><coding><code value=\"POS\"/></"
        "coding></interpretation><specimen><reference value=\"#s\"/></specimen>"
    "<component><code><text value=\"c\"/></code><valueString value=\"&lt;5 &amp; &#xC4;\"/></component></Observation></resource></entry>"
    "<entry><resource><DiagnosticReport><status value=\"final\"/><code><text value=\"r\"/></code><result><reference value=\"urn:uuid:2\"/></result></"
        "DiagnosticReport></resource></entry></Bundle>";

static const char *const own_words[] = {"<", ">", "/>", "</", "\"", "&", "&lt;", "&#0;", "&x;", "<!DOCTYPE a [<!ENTITY x 'y'>]>", "<!--", "-->", "<![CDATA[",
    "]]>", "<?x ?>", "<resource>", "</resource>",
    "<contained><Observation><status value=\"final\"/><code><text value=\"c\"/></code></Observation></contained>", "<Observation>", "</Observation>",
        " xmlns=\"urn:x\"", " xmlns:a=\"http://hl7.org/fhir\"", "a:", " url=\"u\"", " id=\"i\"",
    "<modifierExtension url=\"u\"/>", "<hasMember><reference value=\"urn:uuid:2\"/></hasMember>", "<value value=\"1\"/>", "<valueString value=\"x\"/>", "\xff",
        "\xc3", " encoding=\"ISO-8859-1\"", NULL};

static bool is_mine(uint8_t c)
{
    return c == '<';
}

int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, own_input, own_words, is_mine);
}
#endif
