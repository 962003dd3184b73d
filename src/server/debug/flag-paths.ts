/** /debug/flags: how much is logged may be changed while the server runs, as upstream's --v may. */
import type { ApiResponse } from '../../api/exchange.ts'
import { textAnswer } from '../server-paths.ts'
import type { PathHandler } from '../router.ts'

const PREFIX = '/debug/flags'

/** `setVerbosity` gets klog's number: 4 and more is for following a single object. */
export const createFlagPaths =
  (setVerbosity: (level: number) => void): PathHandler =>
  (_core, { request, info }) => {
    if (info.isResource || !(info.path === PREFIX || info.path.startsWith(`${PREFIX}/`))) return undefined
    if (info.path !== `${PREFIX}/v`) return textAnswer(INDEX, 200, 'text/html; charset=utf-8')
    if (request.method !== 'PUT') return plain('unsupported http method', 406)
    const text = request.body && 'bytes' in request.body ? new TextDecoder().decode(request.body.bytes) : ''
    const level = Number(text)
    if (!/^\d+$/.test(text)) return plain(`strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`, 400)
    if (level >= 2 ** 32) return plain(`strconv.ParseUint: parsing ${JSON.stringify(text)}: value out of range`, 400)
    setVerbosity(level)
    return plain(`successfully set klog.logging.verbosity to ${text}`, 200)
  }

const plain = (text: string, status: number): ApiResponse => ({
  ...textAnswer(`${text}\n`, status, 'text/plain'),
  headers: { 'X-Content-Type-Options': 'nosniff' },
})

const INDEX = `<html>
<head>
<title>/debug/flags/</title>
</head>
<body>
/debug/flags/<br>
<br>
flags:<br>
<table>
<tr>v<br>
</table>
<br>
full flags configurable<br>
</body>
</html>
`
