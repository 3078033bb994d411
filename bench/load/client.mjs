/**
 * The load: many connections, on each a request with one of the sessions, and the next when it is answered. Arguments: the
 * address, seconds, connections, the file of `Cookie` lines, how many of these an earlier load has sent.
 *
 * It never sleeps. Whoever writes to a process that sleeps pays for waking it, on a virtual machine with microseconds; a
 * client that waits for a slow server sleeps before every answer, and for a fast one hardly ever. The difference would
 * be taken for a cost of what makes the server slow.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createConnection } from 'node:net'

const [url, seconds, connections, file, earlier] = process.argv.slice(2)
const { hostname, port, host } = new URL(url)
const requests = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((cookie) => Buffer.from(`GET / HTTP/1.1\r\nHost: ${host}\r\nCookie: ${cookie}\r\n\r\n`, 'latin1'))

let begun = Number(earlier)
let open = 0
let answered = 0
let failed = 0
let over = false

/** Whether this is an answer to its end. */
function isWhole(text) {
  const head = text.indexOf('\r\n\r\n')
  if (head === -1) return false
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(text)
  return length ? text.length >= head + 4 + Number(length[1]) : text.endsWith('\r\n0\r\n\r\n')
}

/** A connection, as a function that sends the next request over it. */
async function connect() {
  const buffer = Buffer.allocUnsafe(65_536)
  let begin = ''
  const hear = (bytes) => {
    const text = begin + buffer.latin1Slice(0, bytes)
    begin = isWhole(text) ? '' : text
    if (begin !== '') return
    answered++
    open--
    if (!text.startsWith('HTTP/1.1 200 ')) failed++
    if (!over) ask()
  }
  const socket = createConnection({ host: hostname, port, noDelay: true, onread: { buffer, callback: hear } })
  const ask = () => {
    open++
    socket.write(requests[begun++ % requests.length])
  }
  await once(socket, 'connect')
  socket.on('error', () => {})
  socket.once('close', () => failed++)
  return ask
}

const asks = await Promise.all(Array.from({ length: Number(connections) }, connect))
const start = performance.now()
for (const ask of asks) ask()
/** When the time is over, what was asked is waited for: the server has worked at it. */
const spin = () => {
  const took = (performance.now() - start) / 1000
  over = took >= Number(seconds)
  if (!over || (open > 0 && failed === 0 && took < Number(seconds) + 10)) return void setImmediate(spin)
  console.log(JSON.stringify({ requests: answered, seconds: took, failed: failed + open }))
  process.exit()
}
spin()
