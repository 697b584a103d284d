// Every case and the watches, as one run against one mesh.
'use strict'
const { connect, Tap } = require('./client')
const { playAll } = require('./cases')
const { followInPieces } = require('./watch')

async function main () {
  const tap = new Tap()
  const client = connect()
  await playAll(client, tap)
  await tap.run('a watch that is broken off and resumed has no gap and no double', () => followInPieces(client))
  client.close()
  tap.end()
}
main()
