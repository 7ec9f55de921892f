/*
 * NAME fuzz_fhir_json - the FHIR parser against hostile JSON and NDJSON. See fuzz_fhir.h.
 */
#include "fuzz_fhir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_one(data, size);
}

#ifdef FUZZ_STANDALONE
static const char own_input[] =
    "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"identifier\":{\"value\":\"b\"},\"timestamp\":\"2026-05-04T14:22:33Z\",\"entry\":["
    "{\"fullUrl\":\"urn:uuid:1\",\"request\":{\"method\":\"POST\",\"url\":\"Patient\"},\"resource\":{\"resourceType\":\"Patient\",\"id\":\"p\","
        "\"identifier\":[{\"system\":\"urn:oid:2.999\",\"value\":\"1\"}],"
    "\"name\":[{\"family\":\"F\",\"given\":[\"G\",null],\"_given\":[null,{\"id\":\"x\"}]}],\"gender\":\"female\",\"birthDate\":\"1990-02-03\","
        "\"link\":[{\"type\":\"replaces\",\"other\":{\"identifier\":{\"value\":\"2\"}}}]}},"
    "{\"fullUrl\":\"urn:uuid:2\",\"resource\":{\"resourceType\":\"Observation\",\"id\":\"o\",\"status\":\"final\","
        "\"code\":{\"coding\":[{\"system\":\"http://loinc.org\",\"code\":\"41636-2\"}]},\"subject\":{\"reference\":\"Patient/p\"},"
    "\"valueQuantity\":{\"value\":1.00,\"comparator\":\">\",\"unit\":\"g\"},\"hasMember\":[{\"reference\":\"urn:uuid:3\"}],"
        "\"component\":[{\"code\":{\"text\":\"c\"},\"valueRatio\":{\"numerator\":{\"value\":1},\"denominator\":{\"value\":8}}}]}},"
    "{\"fullUrl\":\"urn:uuid:3\",\"resource\":{\"resourceType\":\"Observation\",\"status\":\"corrected\",\"code\":{\"text\":\"t\"},"
        "\"effectiveDateTime\":\"2026-05-04\",\"hasMember\":[{\"reference\":\"urn:uuid:2\"}],\"interpretation\":[{\"coding\":[{\"code\":\"POS\"}]}]}},"
    "{\"fullUrl\":\"urn:uuid:4\",\"resource\":{\"resourceType\":\"DiagnosticReport\",\"status\":\"final\",\"contained\":[{\"resourceType\":\"Specimen\","
        "\"id\":\"s\",\"identifier\":[{\"value\":\"S\"}]}],\"code\":{\"text\":\"r\"},"
    "\"subject\":{\"reference\":\"Patient?identifier=urn:oid:2.999|1\"},\"specimen\":[{\"reference\":\"#s\"}],\"result\":[{\"reference\":\"urn:uuid:2\"},"
        "{\"reference\":\"urn:uuid:3\"}],\"conclusion\":\"x\",\"presentedForm\":[{\"data\":\"QUJD\"}]}}]}";

static const char *const own_words[] = {"{", "}", "[", "]", ",", ":", "\"", "null", "true", "1.0E2", "-0", "{}", "[]", "\"\"", "\\ud800", "\\u0001", "\n", "{\"a\":1}\n",
    "\"_status\":{\"id\":\"1\"},", "\"resourceType\":\"Observation\",", "\"modifierExtension\":[{\"url\":\"u\"}],", "\"reference\":\"#\"",
        "\"reference\":\"urn:uuid:3\",", "Patient/p", "/_history/1",
    "\"component\":[{}],", "\"hasMember\":[{\"reference\":\"urn:uuid:4\"}],", "\"contained\":[{\"resourceType\":\"Observation\"}],",
        "\"search\":{\"mode\":\"outcome\"},", "history", "searchset",
    "transaction", "\"meta\":{\"versionId\":\"2\"},", "\"meta\":{\"tag\":[{\"code\":\"HTEST\"}]},", "entered-in-error", "\xff", "\xc3", "\xEF\xBB\xBF",
        "\"valueString\":\"x\",", "?identifier=", NULL};

static bool is_mine(uint8_t c)
{
    return c != '<';
}

int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, own_input, own_words, is_mine);
}
#endif
