/** Answers every TCP connection and UDP packet on a port with "<name> <client's address>": run inside a pod's namespace. */
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'

const [name, port] = process.argv.slice(2)
const plain = (address: string | undefined) => (address ?? '').replace('::ffff:', '')

createServer((socket) => {
  socket.on('error', () => socket.destroy())
  socket.end(`${name} ${plain(socket.remoteAddress)}\n`)
}).listen(Number(port), '0.0.0.0', () => process.stdout.write('ready\n'))

const udp = createSocket('udp4')
udp.on('message', (_, { address, port: from }) => udp.send(`${name} ${plain(address)}\n`, from, address))
udp.bind(Number(port), '0.0.0.0')
