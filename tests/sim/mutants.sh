#!/bin/sh
# Breaks the code on purpose, one place at a time in a copy of the tree, and sees whether the simulator notices:
# mutants.sh [RUNS] [NAME…]. Takes some minutes; not part of dev/test.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
runs=${1:-400}
[ $# -eq 0 ] || shift
only=" $* "
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git -C "$top" ls-files -z | tar -C "$top" --null -T - -c | tar -C "$copy" -x
cd "$copy"
meson setup build -Doptimization=1 -Dwerror=false > /dev/null
escaped=0

simulate() {
    timeout 900 build/tests/sim/simulate --seed 1 --orders 150 --runs "$runs" > build/out 2>&1
}

if ! ninja -C build tests/sim/simulate > build/log || ! simulate; then
    grep -hE ': error|^violation|died' build/log build/out 2> /dev/null | head -3
    echo "the code as it is does not pass"
    exit 1
fi

# NAME FILE SED-SCRIPT
mutant() {
    [ "$only" = "  " ] || case $only in *" $1 "*) ;; *) return 0 ;; esac
    cp "$2" kept
    sed -i "$3" "$2"
    if cmp -s "$2" kept; then
        echo "$1: the code has changed, the patch changes nothing"
        escaped=$((escaped + 1))
        return 0
    fi
    if ! ninja -C build tests/sim/simulate > build/log; then
        grep error build/log | head -3
        echo "$1: does not build"
        escaped=$((escaped + 1))
    elif simulate || [ $? -eq 124 ]; then # or it took too long to tell
        echo "$1: ESCAPED $(sed -n 's/^figure: //p' build/out | tr '\n' ' ')"
        escaped=$((escaped + 1))
    else
        echo "$1: caught by $(sed -n 's/^figure: //p' build/out | head -1): $(grep -m 1 -E '^violation|died' build/out || echo 'it stood still')"
    fi
    cp kept "$2"
}

mutant ack-before-sync mesh/store/sqlite.c 's/PRAGMA synchronous = FULL/PRAGMA synchronous = OFF/'
mutant no-sync-per-commit mesh/store/sqlite.c 's/PRAGMA synchronous = FULL/PRAGMA synchronous = NORMAL/'
mutant no-rewind-before-rerun mesh/store/group.c '/rerun_always) {/,/}/ s/: connection_verb(c, ROLLBACK_TO);/: 0;/'
mutant numbers-of-failed-units-stay mesh/store/group.c '/^static int run_savepoint/,/^}/ s/    if (r == 0) {/    if (g->inside.txn.log_seq) {/'
mutant no-stored-reply mesh/rpc/idempotency.c '/^static int keep(/,/^}/ s/if (rows == 0)/if (rows != 0)/'
mutant any-body-under-an-id mesh/rpc/idempotency.c 's/memcmp(hash.data, call->hash, HASH_BYTES) != 0/false/'
mutant no-tombstone mesh/rpc/idempotency.c '/^static int undo_unknowns(/,/^}/ s/r = leave_tombstone(/r = 0 \&\& leave_tombstone(/'
mutant batch-ignores-repeats mesh/rpc/idempotency.c 's/return r < 0 ? r : part_repeats(txn, calls, n);/return r;/'
mutant one-attempt-only mesh/outbox/settle.c 's/        return retry_later(batch, i);/        result->gave_up = true;/'
mutant next-stays-behind mesh/outbox/outbox.c '/^int letter_take/,/^}/ s/AND state = 1"/AND state = 7"/'
mutant last-event-skipped mesh/log/apply.c '/^static int run_tail/,/^}/ s/reader->width, false/reader->width - 1, false/'
mutant cursor-not-moved mesh/log/apply.c '/^static int run_tail/,/^}/ s/SET seq = $4 WHERE/SET seq = seq WHERE $4 = $4 AND/'
mutant tail-repeats-an-entry mesh/log/tail.c 's/tail->after = response->entries\[response->n_entries - 1\]->seq/tail->after = response->entries[response->n_entries - 1]->seq - 1/'
mutant lapse-not-told mesh/run/lease.c 's/if (lapsed(lease)) .*/if (false)/'
mutant sold-out-by-one svc-inventory/reservations.c 's/sku->available < quantity;/sku->available + 1 < quantity;/'
mutant no-journal-row svc-inventory/book.c '/^int book_close/,/^}/ s/r = write_movements(book);/r = 0;/'
mutant nothing-put-back svc-inventory/holdings.c 's/if (line->asked == 0)/if (true)/'
mutant version-stands-still svc-inventory/book.c 's/        sku->version++;/        sku->version += !sku->version;/'
mutant set-back-cache-unnoticed svc-inventory/feed.c '/^static bool is_whole/,/^}/ s/feed->links < [12]/true/'
mutant gave-up-without-undo svc-order/machine.c '/ROW(RESERVE_GAVE_UP/ s/TO(REJECTED, UNDO)/TO(REJECTED, NOTHING)/'
mutant declined-and-stock-kept svc-order/machine.c '/ROW(PAYMENT_REFUSED/ s/TO(REJECTED, UNDO)/TO(REJECTED, NOTHING)/'
mutant cancelled-and-not-voided svc-order/commands.c '/^static int undo(/,/^}/ s/r = void_payment(life);/r = 0;/'
mutant lost-and-not-paid-back svc-order/commands.c '/^static int give_back(/,/^}/ s/return id ? life_refund(.*/return 0;/'
mutant granted-too-late-and-kept svc-order/machine.c '/ROW(PAYMENT_GRANTED/ s/LATE/ENDED/'
mutant cancelled-before-it-is-known svc-order/commands.c '/^static int undo(/,/^}/ s/steps\[STEP_FULFIL\] == UNDOING/steps[STEP_FULFIL] == TODO \&\& false/'
mutant shipped-and-not-captured svc-order/parcels.c '/^int parcel_left(/,/^}/ s/r = life_capture(.*/r = 0;/'
mutant shipped-and-still-there svc-order/parcels.c '/^int parcel_left(/,/^}/ s/r = life_commit_stock(.*/r = 0;/'
mutant postage-forgotten svc-order/parcels.c '/^int parcel_left(/,/^}/ s/life->parcels_shipped == 0/life->parcels_shipped < 0/'
mutant a-key-for-every-attempt svc-payment/processor.c 's/ret_fetch->idempotency_key = wanted->operation.operation_id;/ret_fetch->idempotency_key = arena_printf(txn->arena, "%s-%lld", wanted->operation.operation_id, (long long)txn->now_us);/'
mutant declined-is-succeeded svc-payment/machine.c '/ROW(INIT,  *ANSWERED_DECLINED/ s/DECLINED,        THEN/SUCCEEDED,       THEN/'
mutant late-answer-unheard svc-payment/machine.c '/ROW(UNKNOWN,  *ANSWERED_SUCCEEDED/ s/SUCCEEDED,       THEN_TELL/UNKNOWN,         THEN_NOTHING/'
mutant one-sided-entry svc-payment/ledger.c '/^int ledger_book(/,/^}/ s/T(credit), I(-minor));/T(credit), I(minor));/'
mutant carriers-events-again svc-shipping/tracking.c 's/UPDATE carrier_cursor SET seq = $3 WHERE carrier = $1 AND seq = $2/UPDATE carrier_cursor SET seq = seq + 0 * $3 WHERE carrier = $1 AND seq = $2/'
mutant handed-over-and-cancelled svc-shipping/machine.c '/ROW(SHIPPED,/ s/SHIPPED,    STAY,        STAY,          STAY/SHIPPED,    STAY,        STAY,          CANCEL/'
mutant a-mail-for-every-delivery svc-notify/messages.c '/^static const char \*message_id(/,/^}/ s/return .*/return arena_printf(arena, "msg_%p", (void *)news);/'
mutant anybodys-order svc-order/read.c 's/order_read(txn, req->order_id, rpc_owner(call), &ret->order)/order_read(txn, req->order_id, "", \&ret->order)/'
mutant old-price-wins svc-order/prices.c 's/WHERE priced_product.version < excluded.version/WHERE priced_product.version > excluded.version/'

[ $escaped -eq 0 ] || echo "$escaped escaped"
exit $escaped
