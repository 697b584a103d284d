// Every case in one of the protocols that web.js has: check_web.js connect+json
'use strict'
const { Tap } = require('./client')
const { playAll } = require('./cases')
const { Web } = require('./web')

async function main () {
  const tap = new Tap()
  const client = new Web(process.argv[2])
  await playAll(client, tap)
  client.close()
  tap.end()
}
main()
