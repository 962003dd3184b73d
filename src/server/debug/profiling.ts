/**
 * /debug/pprof: profiles of the running server, in pprof's format and under the names that `go tool pprof` asks for (Go's net/http/pprof).
 * Only what V8 can tell is there: where time goes and what is allocated, from when somebody asks. Guarded as every path is.
 */
import type { ApiResponse } from '../../api/exchange.ts'
import { textAnswer } from '../server-paths.ts'
import type { PathHandler } from '../router.ts'

export type ProfileKind = 'profile' | 'heap' | 'allocs'

/** Takes a profile of this process: gzip'ed pprof. Undefined when one is being taken already. */
export type Profiler = (kind: ProfileKind, seconds: number, signal: AbortSignal) => Promise<Uint8Array | undefined>

/** What is taken without being told how long. */
const DEFAULT_SECONDS: Readonly<Record<ProfileKind, number>> = { profile: 30, heap: 5, allocs: 5 }
/** V8 keeps all samples until the end. */
const MAX_SECONDS = 300

const DESCRIPTIONS: readonly (readonly [kind: ProfileKind, text: string])[] = [
  ['allocs', 'What is allocated while the profile is taken.'],
  ['heap', 'What is allocated while the profile is taken, and still alive at its end.'],
  ['profile', 'Where processor time goes.'],
]

const NOT_OF_V8: ReadonlySet<string> = new Set(['block', 'goroutine', 'mutex', 'threadcreate', 'trace'])

export const createProfilingPaths =
  (profiler: Profiler): PathHandler =>
  async (_core, { request, info }) => {
    if (info.isResource || !info.path.startsWith('/debug/pprof')) return undefined
    if (info.path === '/debug/pprof') {
      const found = textAnswer('<a href="/debug/pprof/">Found</a>.\n\n', 302, 'text/html; charset=utf-8')
      return { ...found, headers: { Location: '/debug/pprof/' } }
    }
    const [, name] = /^\/debug\/pprof\/(.*)$/.exec(info.path) ?? []
    if (name === undefined) return undefined
    if (name === '') return plain(textAnswer(INDEX, 200, 'text/html; charset=utf-8'))
    // Names are in the profiles: there are no addresses to be looked up.
    if (name === 'symbol') return plain(textAnswer('num_symbols: 0\n'))
    if (NOT_OF_V8.has(name)) return refusal(404, `No such profile: V8 has no ${name}`)
    const kind = DESCRIPTIONS.find(([one]) => one === name)?.[0]
    if (!kind) return refusal(404, 'Unknown profile')
    if (Number(request.query.get('debug') ?? 0) !== 0) return refusal(400, 'profiles are in the format of pprof only, without debug')
    const asked = request.query.get('seconds') ?? ''
    const isNumber = /^\d+$/.test(asked) && Number(asked) > 0
    if (kind !== 'profile' && asked !== '' && !isNumber) return refusal(400, 'invalid value for "seconds" - must be a positive integer')
    const seconds = isNumber ? Number(asked) : DEFAULT_SECONDS[kind]
    if (seconds > MAX_SECONDS) return refusal(400, `"seconds" must be ${MAX_SECONDS} at most`)
    const body = await profiler(kind, seconds, request.signal)
    if (!body) return refusal(500, 'Could not enable profiling: a profile is being taken already')
    return {
      type: 'raw',
      status: 200,
      contentType: 'application/octet-stream',
      body,
      headers: { ...NO_SNIFF, 'Content-Disposition': `attachment; filename="${kind}"` },
    }
  }

const NO_SNIFF = { 'X-Content-Type-Options': 'nosniff' }
const plain = (answer: ApiResponse): ApiResponse => ({ ...answer, headers: NO_SNIFF })

/** As net/http/pprof tells that something is wrong: its tool shows the text. */
const refusal = (status: number, text: string): ApiResponse => ({
  ...textAnswer(`${text}\n`, status),
  headers: { ...NO_SNIFF, 'X-Go-Pprof': '1' },
})

const INDEX = `<html>
<head><title>/debug/pprof/</title></head>
<body>
/debug/pprof/
<ul>
${DESCRIPTIONS.map(([kind, text]) => `<li><a href="${kind}">${kind}</a>: ${text} ?seconds= says how long, ${DEFAULT_SECONDS[kind]} by default.</li>`).join('\n')}
</ul>
<p>For example: go tool pprof -http=: FILE</p>
</body>
</html>
`
