"""Customers, warehouse and staff, who repeat what they want under the same request id until they are answered."""
import threading
import time

from client import Client, Refused, new_id

ORDERS = "oms.order.v1.OrderService/"
PARCELS = "oms.shipping.v1.FulfillmentService/"
PAYMENTS = "oms.payment.v1.PaymentService/"
TOKENS = {"tok_ok": 30, "tok_declined": 3, "tok_poor": 2, "tok_3ds": 5, "tok_3ds_fails": 2, "tok_3ds_never": 1, "tok_slow": 4,
          "tok_late": 3, "tok_silent": 5, "tok_mute": 3, "tok_error": 5, "tok_refund_fails": 1, "tok_capture_fails": 1}
CITIES = {"York": 20, "Delayton": 3, "Lostwick": 1, "Returnham": 1, "Errorby": 3, "Silentham": 3, "Twiceford": 3, "Refusal": 1}
GOODS = {"MUG-S": 12, "POT-M": 6, "RARE-1": 1, "RARE-2": 2}
AGAIN = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "CANCELLED")


def _draw(random, weights):
    return random.choices(list(weights), list(weights.values()))[0]


class Notes:
    """What people know: shared by all of them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.acknowledged, self.cancelled, self.refunded, self.problems = {}, set(), {}, []

    def problem(self, text):
        with self.lock:
            self.problems.append(text)


class Person(threading.Thread):
    """Has a connection of his own."""

    def __init__(self, mesh, notes, random, until):
        super().__init__()
        self.mesh, self.notes, self.random, self.until = mesh, notes, random, until

    def run(self):
        with Client(self.mesh) as self.client:
            try:
                self.live()
            except Exception as e:
                self.notes.problem(f"{type(self).__name__}: {e!r}")

    def insist(self, method, request, who, patience_s=90):
        """The reply, however often it has to be asked for."""
        end = time.monotonic() + patience_s
        while True:
            try:
                return self.client.call(method, request, who, timeout=5)
            except Refused as e:
                if e.code not in AGAIN or e.reason == "ORDER_CHANGING" or time.monotonic() > end:
                    raise
                time.sleep(self.random.uniform(0.01, 0.1))


class Customer(Person):
    """Places orders one after the other, thinks better of some, and looks at them: what was acknowledged is there."""

    def __init__(self, name, *args):
        super().__init__(*args)
        self.who = f"customer:{name}"

    def place(self):
        lines = [{"sku": _draw(self.random, GOODS), "quantity": str(self.random.randint(1, 3))}
                 for _ in range(self.random.randint(1, 3))]
        token = _draw(self.random, TOKENS)
        request = {"requestId": new_id(), "currencyCode": "EUR", "lines": lines, "paymentToken": token, "channel": "chaos",
                   "email": "canary@example.com", "wait": self.random.random() < 0.2, "shipTo": {
                       "name": "Canary Bird", "street": ["Perch 1"], "city": _draw(self.random, CITIES), "postalCode": "CB1",
                       "country": "GB"}}
        order = self.insist(ORDERS + "PlaceOrder", request, self.who)["order"]
        with self.notes.lock:
            self.notes.acknowledged[order["orderId"]] = token
        if self.random.random() < 0.1:
            again = self.insist(ORDERS + "PlaceOrder", request, self.who)["order"]
            if again["orderId"] != order["orderId"]:
                self.notes.problem(f"one request made two orders: {order['orderId']} and {again['orderId']}")
        return order["orderId"]

    def cancel(self, order_id):
        try:
            self.insist(ORDERS + "CancelOrder", {"requestId": new_id(), "orderId": order_id, "reason": "CUSTOMER_REQUEST"}, self.who)
            with self.notes.lock:
                self.notes.cancelled.add(order_id)
        except Refused as e:
            if e.code not in ("FAILED_PRECONDITION", "ABORTED"):  # it is too late, or he has cancelled it before
                raise

    def live(self):
        mine = []
        while not self.until.is_set():
            mine.append(self.place())
            chance = self.random.random()
            if chance < 0.15:
                self.cancel(self.random.choice(mine[-5:]))
            elif chance < 0.3:
                order_id = self.random.choice(mine)
                found = self.insist(ORDERS + "GetOrder", {"orderId": order_id}, self.who)["order"]["orderId"]
                assert found == order_id
            self.until.wait(self.random.uniform(0, 0.1))


class Warehouse(Person):
    """Packs and ships whatever stands there, as far as it is there, until nothing does and nothing more will come."""

    def missing(self, parcel):
        """Now and then a shelf has less than the books say; both who pack a parcel find the same."""
        line = parcel["lines"][0]
        return [{"sku": line["sku"], "quantity": "1"}] if int(parcel["fulfillmentId"][-3:], 36) % 40 == 0 else []

    def step(self, verb, parcel):
        request = {"requestId": f"{parcel['fulfillmentId']}-{verb}", "fulfillmentId": parcel["fulfillmentId"]}
        if verb == "PackFulfillment":
            request["missing"] = self.missing(parcel)
        try:
            self.insist(PARCELS + verb, request, "warehouse:walter")
        except Refused as e:
            if e.code not in ("FAILED_PRECONDITION", "NOT_FOUND"):
                raise

    def parcels(self, state):
        """The first page that has any; a page looks at so many and no more."""
        token = ""
        while True:
            found = self.insist(PARCELS + "ListFulfillments", {"state": state, "pageSize": 100, "pageToken": token}, "warehouse:walter")
            token = found["nextPageToken"]
            if found["fulfillments"] or not token:
                return found["fulfillments"]

    def live(self):
        while not self.until.is_set():
            for state, verb in (("PACKED", "ShipFulfillment"), ("ALLOCATED", "PackFulfillment")):
                for parcel in self.parcels(state):
                    if self.until.is_set():
                        break
                    self.step(verb, parcel)
            self.until.wait(0.1)


class Staff(Person):
    """Gives some money back, and a few of what is rare come in."""

    def refund(self, order_id):
        try:
            payment = self.insist(PAYMENTS + "GetPayment", {"orderId": order_id}, "csr:carol")
            if payment["state"] == "CAPTURED":
                self.insist(PAYMENTS + "RefundPayment", {
                    "requestId": new_id(), "paymentId": payment["paymentId"], "reason": "GOODWILL",
                    "amount": {"currencyCode": "EUR", "units": "1"}}, "csr:carol")
        except Refused as e:
            if e.code not in ("NOT_FOUND", "FAILED_PRECONDITION"):
                raise

    def receive(self):
        self.insist("oms.inventory.v1.InventoryService/AdjustStock", {
            "requestId": new_id(), "sku": self.random.choice(("RARE-1", "RARE-2")), "locationId": self.random.choice(("ber", "man")),
            "delta": str(self.random.randint(1, 3)), "reason": "RECEIVED"}, "erp:erna")

    def live(self):
        while not self.until.wait(0.5):
            with self.notes.lock:
                orders = list(self.notes.acknowledged)
            if orders:
                self.refund(self.random.choice(orders))
            if self.random.random() < 0.3:
                self.receive()
