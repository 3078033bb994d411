// A WebSocket for the visitor's session: it opens with a ticket that works once, and ends with the session.
//   npm run build && node examples/websocket.mjs
//   open http://localhost:3000: it says who is connected. Sign out, and the connection closes.
import { createServer } from 'node:http'
import { createSessions, generateSecret } from 'sojourn'
import { node } from 'sojourn/adapter/node'
import { memory } from 'sojourn/store/memory'
import { tickets } from 'sojourn/token/ticket'
import { WebSocketServer } from 'ws'

const port = process.env.PORT ?? 3000
const sessions = createSessions({ keys: process.env.SESSION_KEY ?? generateSecret(), initial: () => ({ visits: 0 }) })
const ticket = tickets({ sessions, store: memory() })
const attach = node(sessions)

const page = `<!doctype html><pre></pre><button type="button">sign out</button><script type="module">
  const { ticket } = await (await fetch('/ticket', { method: 'POST' })).json()
  const socket = new WebSocket('/live?ticket=' + ticket)
  const show = (text) => document.querySelector('pre').append(text + '\\n')
  socket.onmessage = ({ data }) => show(data)
  socket.onclose = () => show('closed')
  document.querySelector('button').onclick = () => fetch('/sign-out', { method: 'POST' })
</script>`

const server = createServer((req, res) => {
  attach(req, res, async () => {
    const session = await sessions.of(req)
    if (req.url === '/ticket') return res.end(JSON.stringify({ ticket: await ticket.issue(session, '/live') }))
    if (req.url === '/sign-out') session.logout()
    else if (req.url === '/') session.update('visits', (n) => n + 1) // a guest, from now on
    res.setHeader('content-type', 'text/html').end(page)
  })
}).listen(port)

const sockets = new WebSocketServer({ noServer: true })
server.on('upgrade', async (req, socket, head) => {
  try {
    if (req.headers.origin !== `http://localhost:${port}`) return socket.destroy() // another site's page
    const { pathname, searchParams } = new URL(`http://localhost${req.url}`)
    const redeemed = await ticket.redeem(searchParams.get('ticket'), pathname, req)
    if (typeof redeemed === 'string') return socket.destroy()
    sockets.handleUpgrade(req, socket, head, (connection) => {
      connection.send(`connected as ${redeemed.userId ?? 'a guest'}`)
      const look = async () => (await redeemed.alive()) || connection.close(4401)
      const timer = setInterval(() => look().catch(() => {}), 1_000)
      connection.on('close', () => clearInterval(timer))
    })
  } catch {
    socket.destroy()
  }
})
