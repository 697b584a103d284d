// Plays cases.json through the gateway, as check_cases.py does, over another HTTP/2 and gRPC implementation.
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const { isDeepStrictEqual } = require('node:util')
const { call: callGrpc, randomUUID } = require('./client')

const BIG = 'x'.repeat(1 << 20)
const call = (client, ...how) => client.call ? client.call(...how) : callGrpc(client, ...how)
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

// ${name} a variable, ${uuid} a new id, ${uuid:name} a new id that is remembered. An object stands alone.
function fill (value, vars) {
  if (Array.isArray(value)) return value.map(v => fill(v, vars))
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, fill(v, vars)]))
  if (typeof value !== 'string') return value
  const object = vars[value.slice(2, -1)]
  if (object && typeof object === 'object') return object
  return value.replace(/\$\{([^}]+)\}/g, (_, name) => {
    if (name === 'uuid') return randomUUID()
    if (name.startsWith('uuid:')) return (vars[name.slice(5)] = randomUUID())
    return name === 'big' ? BIG : vars[name]
  })
}

// Nothing, or where got is not what is wanted; of objects and lists only what is wanted is looked at.
function differs (want, got, at = 'reply') {
  if (want && typeof want === 'object') {
    if (!got || typeof got !== 'object') return `${at} is missing`
    if (Array.isArray(want) && got.length < want.length) return `${at} has too few items: ${JSON.stringify(got)}`
    for (const [key, value] of Object.entries(want)) {
      const problem = differs(value, got[key], `${at}.${key}`)
      if (problem) return problem
    }
    return
  }
  if (want !== got) return `${at} is ${JSON.stringify(got)}, not ${JSON.stringify(want)}`
}

const SERVICES = ['svc-order', 'svc-payment', 'svc-inventory', 'svc-shipping', 'svc-notify']
const heads = client => Promise.all(SERVICES.map(async s =>
  (await call(client, 'mesh.v1.AdminService/GetStatus', {}, 'operator:olga', { extra: { 'mesh-service': s } })).head))

async function attempt (client, c, vars) {
  let reply
  try {
    const raw = c.raw === undefined ? undefined : Buffer.from(c.raw, 'hex')
    reply = await call(client, c.call, fill(c.request, vars), c.as, { extra: c.metadata, raw, take: c.take })
  } catch (e) {
    if (!e.code) throw e
    if (e.code !== (c.code || 'OK')) return String(e)
    if (e.reason !== c.reason) return `the reason is ${e.reason}: ${e}`
    if (!isDeepStrictEqual(e.fields, c.field ? [c.field] : [])) return `the fields are ${e.fields}: ${e}`
    if (!isDeepStrictEqual(e.subjects, c.subject ? [fill(c.subject, vars)] : [])) return `the subjects are ${e.subjects}: ${e}`
    return differs(c.meta || {}, e.meta, 'metadata')
  }
  if (c.code) return `was not refused: ${JSON.stringify(reply)}`
  const problem = differs(fill(c.reply || {}, vars), reply)
  if (problem) return problem
  if (!JSON.stringify(reply).includes(c.reply_has || '')) return `the reply has no ${c.reply_has}`
  for (const [name, where] of Object.entries(c.save || {})) {
    vars[name] = where.split('.').reduce((v, k) => Array.isArray(v) ? v.at(Number(k)) : v[k], reply)
  }
}

// What was refused has changed nothing: played until nothing else was written meanwhile, either.
async function playRefused (client, c, vars) {
  let problem, before = await heads(client)
  for (const end = Date.now() + 20000; Date.now() < end; await pause(50)) {
    problem = await attempt(client, c, vars)
    const after = await heads(client)
    if (problem || isDeepStrictEqual(after, before)) return problem
    before = after
  }
  return 'it was refused and yet something was written'
}

async function play (client, c, vars) {
  const end = Date.now() + 20000
  let problem = c.code ? await playRefused(client, c, vars) : await attempt(client, c, vars)
  while (problem && c.until && Date.now() < end) { // what another service has yet to hear of
    await pause(50)
    problem = await attempt(client, c, vars)
  }
  if (problem) throw problem
}

async function playAll (client, tap) {
  const vars = {}
  for (const c of JSON.parse(fs.readFileSync(path.join(__dirname, '..', 'cases.json'), 'utf8'))) {
    await tap.run(c.name, () => play(client, c, vars))
  }
}

module.exports = { playAll }
