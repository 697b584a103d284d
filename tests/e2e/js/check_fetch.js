// Every case in Connect with bytes; then what a browser's page runs, here in node: Connect's client over fetch, which is
// HTTP/1.1, in both of its protocols.
'use strict'
const assert = require('node:assert')
const { fromJson, toJson } = require('@bufbuild/protobuf')
const { Code, ConnectError } = require('@connectrpc/connect')
const { createConnectTransport, createGrpcWebTransport } = require('@connectrpc/connect-web')
const { Tap, randomUUID, token } = require('./client')
const { playAll } = require('./cases')
const { Web, descriptors, ROOT } = require('./web')

const registry = descriptors()
const methodOf = name => registry.getService(name.split('/')[0]).methods.find(m => m.name === name.split('/')[1])
const header = who => ({ authorization: 'Bearer ' + token(who) })
const json = (m, message) => toJson(m.output, message, { registry })

async function unary (transport, name, request, who) {
  const m = methodOf(name)
  return json(m, (await transport.unary(m, undefined, 20000, header(who), fromJson(m.input, request))).message)
}

async function * stream (transport, name, request, who) {
  const m = methodOf(name)
  const once = (async function * () { yield fromJson(m.input, request) })()
  for await (const message of (await transport.stream(m, undefined, 20000, header(who), once)).message) yield json(m, message)
}

const PLACE = { currencyCode: 'EUR', paymentToken: 'tok_ok', lines: [{ sku: 'MUG-S', quantity: '1' }] }

async function orderAndWatch (transport) {
  const { order } = await unary(transport, 'oms.order.v1.OrderService/PlaceOrder', { requestId: randomUUID(), ...PLACE }, 'customer:wanda')
  const states = []
  for await (const update of stream(transport, 'oms.order.v1.OrderService/WatchOrder', { orderId: order.orderId }, 'customer:wanda')) {
    states.push(update.state)
    if (update.state === 'CONFIRMED') break
  }
  assert.match(String(states), /^(PENDING,)*CONFIRMED$/)
}

async function exportAll (transport) {
  const orders = []
  for await (const part of stream(transport, 'oms.order.v1.OrderService/ExportOrders', {}, 'erp:erp1')) orders.push(...(part.orders || []))
  assert.ok(orders.length > 10)
}

async function refusal (transport) {
  const error = await unary(transport, 'oms.order.v1.OrderService/PlaceOrder', { requestId: randomUUID(), ...PLACE, lines: [] }, 'customer:wanda')
    .then(() => assert.fail('it was not refused'), e => ConnectError.from(e))
  assert.strictEqual(error.code, Code.InvalidArgument)
  assert.ok(error.details.some(d => d.type === 'google.rpc.BadRequest'))
}

async function streamRefusal (transport) {
  const watch = stream(transport, 'oms.order.v1.OrderService/WatchOrder', { orderId: 'ord_none' }, 'customer:wanda')
  const error = await watch.next().then(() => assert.fail('it was not refused'), e => ConnectError.from(e))
  assert.strictEqual(error.code, Code.NotFound)
}

async function main () {
  const tap = new Tap()
  const client = new Web('connect+proto')
  await playAll(client, tap) // which leaves something to be ordered
  client.close()
  const transports = {
    'Connect in JSON': createConnectTransport({ baseUrl: ROOT }),
    'Connect in bytes': createConnectTransport({ baseUrl: ROOT, useBinaryFormat: true }),
    'gRPC-Web': createGrpcWebTransport({ baseUrl: ROOT })
  }
  for (const [name, transport] of Object.entries(transports)) {
    await tap.run(`${name}: an order is placed, and watched until it is confirmed`, () => orderAndWatch(transport))
    await tap.run(`${name}: everything is exported`, () => exportAll(transport))
    await tap.run(`${name}: a refusal has its code and its details`, () => refusal(transport))
    await tap.run(`${name}: a stream that is refused says so`, () => streamRefusal(transport))
  }
  await tap.run('Connect by GET: what has no side effects is asked by a link', async () => {
    const query = new URLSearchParams({ connect: 'v1', encoding: 'json', message: '{"sku": "MUG-S"}' })
    const reply = await fetch(`${ROOT}/oms.catalog.v1.CatalogService/GetProduct?${query}`)
    assert.strictEqual(reply.status, 200)
    assert.strictEqual((await reply.json()).productId, 'mug')
  })
  tap.end()
}
main()
