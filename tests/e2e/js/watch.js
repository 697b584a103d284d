// A watch broken off at random points and resumed tells every change once, over an HTTP/2 that is not C core's.
'use strict'
const { call, metadata, methodOf, randomUUID, refused } = require('./client')

const WATCH = 'oms.order.v1.OrderService/WatchOrder'
const PLACE = 'oms.order.v1.OrderService/PlaceOrder'

// Takes at most `most` updates, and none after the order has left PENDING, then breaks the stream off; what it returns says whether the stream had ended by itself.
function take (client, request, who, most) {
  return new Promise((resolve, reject) => {
    const m = methodOf(WATCH)
    const stream = client.makeServerStreamRequest(m.path, m.requestSerialize, m.responseDeserialize, request, metadata(who), { deadline: Date.now() + 20000 })
    const updates = []
    let over = false
    stream.on('data', u => {
      if (over) return
      updates.push(u)
      over = updates.length === most || u.state !== 'PENDING'
      if (over) {
        resolve({ updates, ended: false })
        stream.cancel()
      }
    })
    stream.on('error', e => reject(refused(e)))
    stream.on('end', () => resolve({ updates, ended: true }))
  })
}

const place = (client, sku) => call(client, PLACE,
  { requestId: randomUUID(), currencyCode: 'EUR', paymentToken: 'tok_ok', lines: [{ sku, quantity: 1 }] }, 'customer:wanda')

async function followInPieces (client) {
  for (let i = 0; i < 20; i++) {
    const { order } = await place(client, 'MUG-S')
    const first = await take(client, { orderId: order.orderId }, 'customer:wanda', 1)
    const states = [first.updates[0].state]
    let after = first.updates[0].position
    for (let tries = 0; states[states.length - 1] === 'PENDING'; tries++) {
      if (tries === 10) throw new Error('never left PENDING')
      const most = 1 + Math.floor(Math.random() * 2)
      const more = await take(client, { orderId: order.orderId, after }, 'customer:wanda', most)
      for (const u of more.updates) {
        if (BigInt(u.position.seq) <= BigInt(after.seq)) throw new Error('an update came twice')
        after = u.position
        states.push(u.state)
      }
    }
    if (!/^(PENDING,)*CONFIRMED$/.test(String(states))) throw new Error('states were ' + states)
  }
}

module.exports = { followInPieces }
