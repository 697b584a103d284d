// A client of the gateway that is not built on gRPC C core: @grpc/grpc-js.
'use strict'
const { execFileSync } = require('node:child_process')
const { randomUUID } = require('node:crypto')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const grpc = require('@grpc/grpc-js')
const loader = require('@grpc/proto-loader')

const PROTOS = process.env.OMS_PROTOS
const FILES = ['oms/catalog/v1/catalog', 'oms/inventory/v1/inventory', 'oms/order/v1/order', 'oms/event/v1/event',
  'oms/payment/v1/payment', 'oms/payment/v1/ledger', 'oms/shipping/v1/fulfillment', 'oms/notify/v1/notification',
  'oms/notify/v1/alert', 'oms/storefront/v1/storefront',
  'mesh/v1/admin', 'mesh/v1/log', 'mesh/v1/deliver', 'google/rpc/status', 'google/rpc/error_details',
  'grpc/health/v1/health', 'grpc/reflection/v1/reflection', 'grpc/reflection/v1alpha/reflection']
const definition = loader.loadSync(FILES.map(f => f + '.proto'), {
  includeDirs: [PROTOS, '/usr/include', '/usr/share/grpc-proto'],
  longs: String, enums: String, bytes: String, defaults: true, arrays: true, oneofs: false
})

const tokens = new Map()
const omsctl = (...args) => execFileSync(process.env.OMSCTL, args, { encoding: 'utf8' }).trim()

// who is role:subject; expired, foreign and garbage are customers whose token is no good.
function token (who) {
  const [role, subject] = who.split(':')
  if (role === 'guest') return null
  if (!tokens.has(who)) tokens.set(who, makeToken(role, subject))
  return tokens.get(who)
}

function makeToken (role, subject) {
  if (role === 'garbage') return 'not.a.token'
  if (role === 'expired') return omsctl('token', '--sub', subject, '--role', 'customer', '--ttl', '-1h')
  if (role !== 'foreign') return omsctl('token', '--sub', subject, '--role', role)
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'oms-key-'))
  try {
    const key = path.join(dir, 'key.pem')
    execFileSync('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', key], { stdio: 'ignore' })
    return omsctl('token', '--sub', subject, '--role', 'customer', '--key', key)
  } finally {
    fs.rmSync(dir, { recursive: true })
  }
}

function metadata (who, extra) {
  const md = new grpc.Metadata()
  const t = token(who)
  if (t) md.set('authorization', 'Bearer ' + t)
  for (const [k, v] of Object.entries(extra || {})) md.set(k, v)
  return md
}

// The protobuf fields of a message on the wire: [[number, bytes or integer]].
function wire (bytes) {
  const fields = []
  let at = 0
  const varint = () => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const b = bytes[at++]
      value |= BigInt(b & 127) << shift
      if (b < 128) return Number(value)
    }
  }
  while (at < bytes.length) {
    const tag = varint()
    if ((tag & 7) === 0) fields.push([tag >> 3, varint()])
    else {
      const n = varint()
      fields.push([tag >> 3, bytes.subarray(at, at + n)])
      at += n
    }
  }
  return fields
}

// A status other than OK, of its code and its details as [type, bytes], taken apart.
function refusedWith (code, message, details) {
  const out = { code, message, reason: '', fields: [], subjects: [], meta: {} }
  for (const [type, value] of details) {
    const kind = type.split('.').pop()
    if (kind === 'ErrorInfo') {
      out.reason = wire(value).filter(f => f[0] === 1).map(f => f[1].toString())[0]
      const pairs = wire(value).filter(f => f[0] === 3).map(f => wire(f[1]).map(g => g[1].toString()))
      out.meta = Object.fromEntries(pairs)
    }
    if (kind === 'PreconditionFailure') {
      const violations = wire(value).map(f => wire(f[1]).map(g => g[1].toString()))
      out.subjects.push(...violations.filter(v => v[0] === out.reason).map(v => v[1]))
    }
    if (kind === 'BadRequest') out.fields.push(...wire(value).map(f => wire(f[1]).find(g => g[0] === 1)[1].toString()))
  }
  out.toString = () => `${out.code} ${out.reason} ${out.fields} ${out.message}`
  return out
}

function refused (error) {
  const packed = error.metadata && error.metadata.get('grpc-status-details-bin')[0]
  const details = (packed ? wire(packed) : []).filter(f => f[0] === 3).map(([, any]) => {
    const [, type] = wire(any).find(f => f[0] === 1)
    return [type.toString(), (wire(any).find(f => f[0] === 2) || [2, Buffer.alloc(0)])[1]]
  })
  return refusedWith(Object.keys(grpc.status).find(k => grpc.status[k] === error.code), error.details, details)
}

function connect () {
  return process.env.OMS_OVER_TLS
    ? new grpc.Client(process.env.OMS_GATEWAY_TLS, grpc.credentials.createSsl(fs.readFileSync(process.env.OMS_CA)))
    : new grpc.Client(process.env.OMS_GATEWAY, grpc.credentials.createInsecure())
}

const same = x => x
function methodOf (name) {
  const [service, method] = name.split('/')
  return definition[service][method]
}

// All replies to what the client streams.
function converse (client, m, requests, md, options) {
  return new Promise((resolve, reject) => {
    const replies = []
    const stream = client.makeBidiStreamRequest(m.path, m.requestSerialize, m.responseDeserialize, md, options)
    stream.on('data', reply => replies.push(reply))
    stream.on('error', e => reject(refused(e)))
    stream.on('end', () => resolve(replies))
    for (const request of requests) stream.write(request)
    stream.end()
  })
}

// The reply; with take the first replies of a stream; of a list of requests all of them. Rejects with what refused() makes.
function call (client, name, request, who = 'guest', { extra, raw, take } = {}) {
  const options = { deadline: Date.now() + 20000 }
  const md = metadata(who, extra)
  return new Promise((resolve, reject) => {
    const done = (error, reply) => error ? reject(refused(error)) : resolve(reply)
    if (raw !== undefined) return client.makeUnaryRequest('/' + name, same, same, raw, md, options, done)
    const m = methodOf(name)
    if (Array.isArray(request)) return converse(client, m, request, md, options).then(resolve, reject)
    if (take === undefined) return client.makeUnaryRequest(m.path, m.requestSerialize, m.responseDeserialize, request, md, options, done)
    let stream
    if (m.requestStream) {
      stream = client.makeBidiStreamRequest(m.path, m.requestSerialize, m.responseDeserialize, md, options)
      stream.write(request)
    } else {
      stream = client.makeServerStreamRequest(m.path, m.requestSerialize, m.responseDeserialize, request, md, options)
    }
    const replies = []
    stream.on('data', reply => {
      if (replies.length < take) replies.push(reply)
      if (replies.length === take) {
        resolve(replies)
        stream.cancel()
      }
    })
    stream.on('error', e => reject(refused(e)))
    stream.on('end', () => resolve(replies))
  })
}

class Tap {
  count = 0
  failed = 0
  async run (name, f) {
    this.count++
    try {
      await f()
      console.log(`ok ${this.count} ${name}`)
    } catch (e) {
      this.failed++
      console.log(`not ok ${this.count} ${name}\n# ${String((e && e.stack && e.message) || e).replace(/\n/g, '\n# ')}`)
    }
  }

  end () {
    console.log(`1..${this.count}`)
    process.exitCode = this.failed ? 1 : 0
  }
}

module.exports = { call, connect, FILES, grpc, metadata, methodOf, PROTOS, refused, refusedWith, Tap, token, randomUUID }
