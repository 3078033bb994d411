/** The load where `wrk` is not installed. Arguments: the address, seconds, connections, the file of `Cookie` lines. */
import { readFileSync } from 'node:fs'
import autocannon from 'autocannon'

const [url, seconds, connections, file] = process.argv.slice(2)
const requests = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((cookie) => ({ method: 'GET', path: '/', headers: { cookie } }))

// Each connection begins elsewhere in the list; together they would otherwise all send the same session at once.
let begun = 0
function setupClient(client) {
  const from = Math.floor((begun++ * requests.length) / Number(connections))
  client.setRequests([...requests.slice(from), ...requests.slice(0, from)])
}

const result = await autocannon({
  url,
  duration: Number(seconds),
  connections: Number(connections),
  requests,
  setupClient,
})
const failed = result.errors + result.timeouts + result.non2xx
console.log(JSON.stringify({ requests: result.requests.total, seconds: result.duration, failed }))
