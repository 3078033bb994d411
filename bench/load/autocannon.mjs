/** The load where `wrk` is not installed. Arguments: the address, seconds, connections, the file of `Cookie` lines. */
import { readFileSync } from 'node:fs'
import autocannon from 'autocannon'

const [url, seconds, connections, file] = process.argv.slice(2)
const requests = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((cookie) => ({ method: 'GET', path: '/', headers: { cookie } }))

// Each connection has a share of its own: the whole list on each would be held a hundred times.
const shares = Math.min(Number(connections), requests.length)
let begun = 0
function setupClient(client) {
  const share = begun++ % shares
  client.setRequests(requests.filter((_, at) => at % shares === share))
}

const result = await autocannon({
  url,
  duration: Number(seconds),
  connections: Number(connections),
  requests: requests.slice(0, 1),
  setupClient,
})
const failed = result.errors + result.timeouts + result.non2xx
console.log(JSON.stringify({ requests: result.requests.total, seconds: result.duration, failed }))
