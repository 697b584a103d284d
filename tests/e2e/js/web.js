// Clients of the gateway that do not speak gRPC: Connect's own, over HTTP/2, in its protocol and in gRPC-Web.
'use strict'
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const http2 = require('node:http2')
const os = require('node:os')
const path = require('node:path')
const { createFileRegistry, fromBinary, fromJson, toJson } = require('@bufbuild/protobuf')
const { FileDescriptorSetSchema } = require('@bufbuild/protobuf/wkt')
const { Code, ConnectError } = require('@connectrpc/connect')
const { createConnectTransport, createGrpcWebTransport, Http2SessionManager } = require('@connectrpc/connect-node')
const { FILES, PROTOS, refusedWith, token } = require('./client')

const ROOT = 'http://' + process.env.OMS_GATEWAY
const TRANSPORTS = {
  'connect+json': options => createConnectTransport(options),
  'connect+proto': options => createConnectTransport({ ...options, useBinaryFormat: true }),
  'grpc-web': options => createGrpcWebTransport(options)
}

function descriptors () {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'oms-set-'))
  try {
    const file = path.join(dir, 'set')
    execFileSync('protoc', ['-I' + PROTOS, '-I/usr/include', '-I/usr/share/grpc-proto', '--include_imports',
      '--descriptor_set_out=' + file, ...FILES.map(f => f + '.proto')])
    return createFileRegistry(fromBinary(FileDescriptorSetSchema, fs.readFileSync(file)))
  } finally {
    fs.rmSync(dir, { recursive: true })
  }
}

// The code as gRPC spells it, and the details as client.js takes them apart.
function refused (e) {
  const error = ConnectError.from(e)
  const code = Code[error.code].replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase().replace('CANCELED', 'CANCELLED')
  return refusedWith(code, error.rawMessage, error.details.map(d => [d.type, Buffer.from(d.value)]))
}

class Web {
  constructor (protocol) {
    this.registry = descriptors()
    this.sessions = new Http2SessionManager(ROOT)
    this.transport = TRANSPORTS[protocol]({ baseUrl: ROOT, httpVersion: '2', sessionManager: this.sessions })
  }

  // As call() of client.js.
  async call (name, request, who = 'guest', { extra, raw, take } = {}) {
    const header = new Headers(extra)
    const t = token(who)
    if (t) header.set('authorization', 'Bearer ' + t)
    if (raw !== undefined) return this.post(name, header, raw)
    const [service, method] = name.split('/')
    const m = this.registry.getService(service).methods.find(m => m.name === method)
    const read = message => toJson(m.output, message, { registry: this.registry, alwaysEmitImplicit: true })
    const write = message => fromJson(m.input, message, { registry: this.registry })
    const abort = new AbortController()
    try {
      if (m.methodKind === 'unary') return read((await this.transport.unary(m, abort.signal, 20000, header, write(request))).message)
      const requests = (Array.isArray(request) ? request : [request]).map(write)
      const stream = await this.transport.stream(m, abort.signal, 20000, header, (async function * () { yield * requests })())
      const replies = []
      for await (const message of stream.message) {
        replies.push(read(message))
        if (replies.length === take) break
      }
      return replies
    } catch (e) {
      throw refused(e)
    } finally {
      abort.abort()
    }
  }

  // Bytes that no client would send, in Connect; of a stream as its one message.
  post (name, header, raw) {
    const [service, method] = name.split('/')
    const m = this.registry.getService(service).methods.find(m => m.name === method)
    const streams = m && m.methodKind !== 'unary'
    const prefix = Buffer.alloc(5)
    prefix.writeUInt32BE(raw.length, 1)
    return new Promise((resolve, reject) => {
      const session = http2.connect(ROOT)
      const type = streams ? 'application/connect+proto' : 'application/proto'
      const stream = session.request({ ':method': 'POST', ':path': '/' + name, 'content-type': type, ...Object.fromEntries(header) })
      const chunks = []
      stream.on('data', data => chunks.push(data))
      stream.on('error', reject)
      stream.on('end', () => {
        session.close()
        const body = Buffer.concat(chunks)
        const { code, message, details } = streams ? JSON.parse(body.subarray(5)).error : JSON.parse(body)
        reject(refusedWith(code.toUpperCase(), message, (details || []).map(d => [d.type, Buffer.from(d.value, 'base64')])))
      })
      stream.end(streams ? Buffer.concat([prefix, raw]) : raw)
    })
  }

  close () {
    this.sessions.abort()
  }
}

module.exports = { descriptors, ROOT, Web }
