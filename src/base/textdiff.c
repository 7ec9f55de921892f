/*
 * NAME textdiff - unified diff (E. Myers, "An O(ND) Difference Algorithm and Its Variations", Algorithmica 1, 1986: the greedy form).
 *
 * Equal lines at both ends are set aside first, so that the search sees only what lies between. V of every round is kept for the way back: D
 * rounds need D*D/2 places, which EDITS_MAX bounds to some megabytes.
 * DIAGNOSTICS none; a missing newline at the end is told as diff(1) does.
 */
#include "textdiff.h"

#include <stdlib.h>
#include <string.h>

#include "xmem.h"

#define EDITS_MAX 1000
#define AROUND 3u

struct lines { struct span *v; size_t n; };

static struct lines split(struct span s)
{
    struct lines l = {NULL, 0};
    size_t cap = 0;
    while (s.n) {
        size_t n = span_find(s, '\n');
        if (l.n == cap) {
            cap = cap ? cap * 2 : 64;
            l.v = xreallocarray(l.v, cap, sizeof *l.v);
        }
        n += n < s.n;                   /* with its newline: a line without one is another line */
        l.v[l.n++] = span_cut(s, 0, n);
        s = span_from(s, n);
    }
    return l;
}

static bool is_same(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Marks lines of a that go and lines of b that come, between lo and the given ends. */
static void mark(struct span *a, size_t n, struct span *b, size_t m, bool *goes, bool *comes)
{
    int *rounds[EDITS_MAX + 1], d, k = 0, x = 0, y = 0, most = (int)(n + m < EDITS_MAX ? n + m : EDITS_MAX);
    int *v = xcalloc((size_t)most * 2 + 3, sizeof *v), mid = most + 1;
    bool is_found = false;
    for (d = 0; d <= most && !is_found; d++) {
        rounds[d] = xmalloc(((size_t)most * 2 + 3) * sizeof *v);
        memcpy(rounds[d], v, ((size_t)most * 2 + 3) * sizeof *v);
        for (k = -d; k <= d; k += 2) {
            x = k == -d || (k != d && v[mid + k - 1] < v[mid + k + 1]) ? v[mid + k + 1] : v[mid + k - 1] + 1;
            y = x - k;
            while (x < (int)n && y < (int)m && is_same(a[x], b[y])) {
                x++;
                y++;
            }
            v[mid + k] = x;
            if (x >= (int)n && y >= (int)m) {
                is_found = true;
                break;
            }
        }
    }
    if (!is_found) {                    /* too different: all of it */
        memset(goes, true, n);
        memset(comes, true, m);
    }
    x = (int)n;
    y = (int)m;
    for (int r = d - 1; r > 0 && is_found; r--) {
        const int *w = rounds[r];
        k = x - y;
        int before = k == -r || (k != r && w[mid + k - 1] < w[mid + k + 1]) ? k + 1 : k - 1;
        int px = w[mid + before], py = px - before;
        while (x > px && y > py) {
            x--;
            y--;
        }
        if (before == k + 1)
            comes[py] = true;
        else
            goes[px] = true;
        x = px;
        y = py;
    }
    for (int r = 0; r < d; r++)
        free(rounds[r]);
    free(v);
}

static void add_line(struct buf *out, char sign, struct span line)
{
    buf_addc(out, sign);
    buf_add_span(out, line);
    if (!line.n || line.p[line.n - 1] != '\n')
        buf_adds(out, "\n\\ No newline at end of file\n");
}

/* One hunk from line i of a and k of b on; moves both behind it. */
static void add_hunk(struct buf *out, const struct lines *a, const struct lines *b, const bool *goes, const bool *comes, size_t *ip, size_t *kp)
{
    size_t i = *ip, k = *kp, end_i = i, end_k = k, quiet = 0;
    while (end_i < a->n || end_k < b->n) {
        bool is_change = (end_i < a->n && goes[end_i]) || (end_k < b->n && comes[end_k]);
        if (!is_change && ++quiet > 2 * AROUND)
            break;
        if (is_change)
            quiet = 0;
        if (end_i < a->n && goes[end_i]) {
            end_i++;
        } else if (end_k < b->n && comes[end_k]) {
            end_k++;
        } else {
            end_i++;
            end_k++;
        }
    }
    size_t tail = quiet > AROUND ? (quiet > 2 * AROUND ? AROUND : quiet - AROUND) : 0, head = i < k ? i : k;
    end_i -= tail;
    end_k -= tail;
    head = head > AROUND ? AROUND : head;
    size_t from_i = i - head, from_k = k - head;
    buf_addf(out, "@@ -%zu,%zu +%zu,%zu @@\n", end_i > from_i ? from_i + 1 : from_i, end_i - from_i, end_k > from_k ? from_k + 1 : from_k, end_k - from_k);
    for (i = from_i, k = from_k; i < end_i || k < end_k;) {
        if (i < end_i && goes[i]) {
            add_line(out, '-', a->v[i++]);
        } else if (k < end_k && comes[k]) {
            add_line(out, '+', b->v[k++]);
        } else {
            add_line(out, ' ', a->v[i++]);
            k++;
        }
    }
    *ip = end_i;
    *kp = end_k;
}

bool textdiff(struct span a_text, const char *a_name, struct span b_text, const char *b_name, struct buf *out)
{
    if (is_same(a_text, b_text))
        return false;
    struct lines a = split(a_text), b = split(b_text);
    bool *goes = xcalloc(a.n + 1, sizeof *goes), *comes = xcalloc(b.n + 1, sizeof *comes);
    size_t lo = 0, hi = 0;
    while (lo < a.n && lo < b.n && is_same(a.v[lo], b.v[lo]))
        lo++;
    while (hi < a.n - lo && hi < b.n - lo && is_same(a.v[a.n - 1 - hi], b.v[b.n - 1 - hi]))
        hi++;
    mark(a.v + lo, a.n - lo - hi, b.v + lo, b.n - lo - hi, goes + lo, comes + lo);
    buf_addf(out, "--- %s\n+++ %s\n", a_name, b_name);
    for (size_t i = 0, k = 0; i < a.n || k < b.n;) {
        if ((i < a.n && goes[i]) || (k < b.n && comes[k])) {
            add_hunk(out, &a, &b, goes, comes, &i, &k);
            continue;
        }
        i++;
        k++;
    }
    free(goes);
    free(comes);
    free(a.v);
    free(b.v);
    return true;
}
