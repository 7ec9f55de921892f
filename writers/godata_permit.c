/*
 * NAME godata_permit - permissions that are missing, by name.
 *
 * A role is a list of permission ids; "<group>_all" stands for the group. The rows below are the routes that the writer uses
 * (GODATA-API 4.1 and appendix A). Outbreaks, reference data, roles and the own account may be read by any account that is logged in.
 * DIAGNOSTICS None.
 */
#include "godata_permit.h"

#include <stdio.h>
#include <string.h>

#define ALWAYS 0u

static const struct { unsigned need; const char *permission; } rows[] = {
    {ALWAYS, "case_list"},
    {ALWAYS, "contact_list"},
    {ALWAYS, "contact_of_contact_list"},
    {ALWAYS, "lab_result_list"},
    {NEED_LAB, "case_list_lab_result"},
    {NEED_LAB, "case_view_lab_result"},
    {NEED_LAB, "case_create_lab_result"},
    {NEED_LAB, "case_modify_lab_result"},
    {NEED_LAB, "case_delete_lab_result"},
    {NEED_LAB, "contact_list_lab_result"},
    {NEED_LAB, "contact_view_lab_result"},
    {NEED_LAB, "contact_create_lab_result"},
    {NEED_LAB, "contact_modify_lab_result"},
    {NEED_LAB, "contact_delete_lab_result"},
    {NEED_CASE_CREATE | NEED_CASE_UPDATE, "case_view"},
    {NEED_CASE_CREATE, "case_create"},
    {NEED_CASE_UPDATE, "case_modify"},
    {NEED_CONTACT_CREATE | NEED_CONTACT_UPDATE, "contact_view"},
    {NEED_CONTACT_CREATE, "contact_create"},
    {NEED_CONTACT_UPDATE, "contact_modify"},
    {NEED_CONTACT_CREATE, "relationship_list"},
    {NEED_CONTACT_CREATE, "relationship_create"},
    {NEED_CLAIM, "user_modify_own_account"},
};

unsigned godata_permit_needs(const struct godata_options *o, unsigned needs)
{
    if (o->claim_account)
        needs |= NEED_CLAIM;
    if (o->no_match.action == NO_MATCH_CREATE_CASE)
        needs |= NEED_CASE_CREATE;
    if (o->no_match.action == NO_MATCH_CREATE_CONTACT)
        needs |= NEED_CONTACT_CREATE;
    return needs;
}

static bool holds(const json_t *permissions, const char *id)
{
    const json_t *v;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)permissions, i, v)
        if (json_is_string(v) && strcmp(json_string_value(v), id) == 0)
            return true;
    return false;
}

bool godata_permit_has(const json_t *permissions, const char *permission)
{
    static const char *const groups[] = {"case", "contact", "contact_of_contact", "lab_result", "relationship", "user"};
    const char *group = NULL;
    char all[64];
    if (holds(permissions, permission))
        return true;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        size_t n = strlen(groups[i]);
        if (strncmp(permission, groups[i], n) == 0 && permission[n] == '_' && (!group || n > strlen(group)))
            group = groups[i];
    }
    (void)snprintf(all, sizeof all, "%s_all", group ? group : "");
    return group && holds(permissions, all);
}

json_t *godata_permit_missing(const struct godata_options *o, unsigned needs, const json_t *permissions)
{
    json_t *out = json_array();
    needs = godata_permit_needs(o, needs);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if ((rows[i].need == ALWAYS || (rows[i].need & needs)) && !godata_permit_has(permissions, rows[i].permission))
            (void)json_array_append_new(out, json_string(rows[i].permission));
    return out;
}
