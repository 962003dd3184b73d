/**
 * Startup, readiness and liveness probes of one pod's containers. Each probed container has its own rhythm from its start on; a
 * result counts once it was seen often enough (thresholds), and a change is told to the worker at once.
 */
import type { Container, Pod, Probe } from '../api/generated/core/v1.ts'
import { RuntimeError } from './container-runtime.ts'
import { expand } from './expansion.ts'
import { httpRequest, resolvePort } from './hooks.ts'
import type { NodeContext } from './node-context.ts'
import type { ProbeKind, ProbeResult, ProbeResults } from './observation.ts'
import type { PodEvents } from './pod-events.ts'

export interface ProbedContainer {
  readonly container: Container
  readonly containerId: string
  readonly startedAtMs: number
  /** What an agent before this one knew: an adopted container stays ready until a probe says otherwise. */
  readonly wasStarted: boolean
  readonly wasReady: boolean
}

export interface PodProbes extends ProbeResults {
  /** The running containers of the pod: probing begins with the first mention and ends with the first absence. */
  update(pod: Pod, running: readonly ProbedContainer[], podIP: string | undefined): void
  close(): void
}

const KINDS = ['startup', 'readiness', 'liveness'] as const
const INITIAL: Readonly<Record<ProbeKind, ProbeResult>> = { startup: 'unknown', readiness: 'failure', liveness: 'success' }
const MAX_TRIES = 3
const MAX_OUTPUT = 10 * 1024
const WORD: Readonly<Record<ProbeKind, string>> = { startup: 'Startup', readiness: 'Readiness', liveness: 'Liveness' }

export const probeOf = (container: Container, kind: ProbeKind): Probe | undefined =>
  kind === 'startup' ? container.startupProbe : kind === 'readiness' ? container.readinessProbe : container.livenessProbe

const keyOf = (containerId: string, kind: ProbeKind) => `${containerId} ${kind}`

type Verdict =
  | { readonly result: 'success' | 'failure'; readonly output: string; readonly isWarning?: boolean }
  | { readonly error: string }

interface Prober {
  readonly kind: ProbeKind
  readonly target: ProbedContainer
  result: ProbeResult
  last: ProbeResult | undefined
  run: number
  /** Nothing more to learn: a started container's startup probe, or a liveness probe that failed. */
  isDone: boolean
  cancel: (() => void) | undefined
}

export function createPodProbes(node: NodeContext, events: PodEvents, onChange: () => void): PodProbes {
  const { clock } = node.runtime
  const probers = new Map<string, Prober>()
  let pod: Pod | undefined
  let podIP: string | undefined
  let isClosed = false

  const isStarted = (prober: Prober): boolean => {
    const startup = probers.get(keyOf(prober.target.containerId, 'startup'))
    return !startup || startup.result === 'success'
  }

  function schedule(prober: Prober, delayMs: number): void {
    prober.cancel?.()
    prober.cancel = clock.setTimeout(() => {
      prober.cancel = undefined
      void tick(prober)
    }, delayMs)
  }

  const isLive = (prober: Prober): boolean => !isClosed && probers.get(keyOf(prober.target.containerId, prober.kind)) === prober

  async function tick(prober: Prober): Promise<void> {
    const probe = probeOf(prober.target.container, prober.kind)!
    if (prober.isDone || (prober.kind !== 'startup' && !isStarted(prober))) return
    const verdict = await attempt(prober, probe)
    if (!isLive(prober)) return
    report(prober, verdict)
    if (!('error' in verdict)) count(prober, probe, verdict.result)
    if (!prober.isDone && isLive(prober)) schedule(prober, (probe.periodSeconds ?? 10) * 1000)
  }

  async function attempt(prober: Prober, probe: Probe): Promise<Verdict> {
    let verdict: Verdict = { error: 'not probed' }
    for (let tries = 0; tries < MAX_TRIES && 'error' in verdict; tries++) {
      try {
        verdict = await runProbe(probe, prober.target)
      } catch (error) {
        verdict = { error: error instanceof Error ? error.message : String(error) }
      }
    }
    return verdict
  }

  function report(prober: Prober, verdict: Verdict): void {
    const record = events.container(prober.target.container.name)
    const word = WORD[prober.kind]
    const { name = '', namespace = '', uid = '' } = pod?.metadata ?? {}
    node.counters.increment('prober_probe_total', {
      container: prober.target.container.name,
      namespace,
      pod: name,
      pod_uid: uid,
      probe_type: word,
      result: 'error' in verdict ? 'unknown' : verdict.result === 'success' ? 'successful' : 'failed',
    })
    if ('error' in verdict) record('Warning', 'Unhealthy', `${word} probe errored and resulted in unknown state: ${verdict.error}`)
    else if (verdict.result === 'failure') record('Warning', 'Unhealthy', `${word} probe failed: ${verdict.output}`)
    else if (verdict.isWarning) record('Warning', 'ProbeWarning', `${word} probe warning: ${verdict.output}`)
  }

  function count(prober: Prober, probe: Probe, result: 'success' | 'failure'): void {
    prober.run = prober.last === result ? prober.run + 1 : 1
    prober.last = result
    if (prober.run < (result === 'failure' ? (probe.failureThreshold ?? 3) : (probe.successThreshold ?? 1))) return
    prober.isDone = prober.kind === 'startup' || (prober.kind === 'liveness' && result === 'failure')
    if (prober.result === result) return
    prober.result = result
    // With the container started, its other probes begin.
    if (prober.kind === 'startup' && result === 'success')
      for (const kind of ['readiness', 'liveness'] as const) {
        const other = probers.get(keyOf(prober.target.containerId, kind))
        if (other) schedule(other, initialDelay(other))
      }
    onChange()
  }

  const initialDelay = (prober: Prober): number => {
    const delayMs = (probeOf(prober.target.container, prober.kind)?.initialDelaySeconds ?? 0) * 1000
    return Math.max(0, prober.target.startedAtMs + delayMs - clock.now())
  }

  async function runProbe(probe: Probe, { container, containerId }: ProbedContainer): Promise<Verdict> {
    const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000
    if (probe.exec) return execProbe(probe.exec.command ?? [], container, containerId, timeoutMs)
    if (probe.httpGet) {
      const request = httpRequest(probe.httpGet, container, podIP, 'probe')
      const answer = await node.host.probeHttp(request.url, request.headers, timeoutMs)
      if ('error' in answer) return { result: 'failure', output: answer.error }
      if (answer.status >= 200 && answer.status < 300) return { result: 'success', output: answer.body }
      if (answer.status >= 300 && answer.status < 400)
        return { result: 'success', output: `Probe terminated redirects, Response body: ${answer.body}`, isWarning: true }
      return { result: 'failure', output: `HTTP probe failed with statuscode: ${answer.status}` }
    }
    if (probe.tcpSocket) {
      const host = probe.tcpSocket.host || podIP || ''
      const port = resolvePort(probe.tcpSocket.port, container)
      const isOpen = await node.host.probeTcp(host, port, timeoutMs)
      return isOpen
        ? { result: 'success', output: '' }
        : { result: 'failure', output: `dial tcp ${host}:${port}: connect: connection refused` }
    }
    if (probe.grpc) {
      const health = await node.host.probeGrpc(podIP ?? '', probe.grpc.port, probe.grpc.service ?? '', timeoutMs)
      if ('error' in health) return { result: 'failure', output: health.error }
      if (health.status === 'SERVING') return { result: 'success', output: 'service healthy' }
      return { result: 'failure', output: `service unhealthy (responded with "${health.status}")` }
    }
    return { error: `missing probe handler for ${pod?.metadata?.name}:${container.name}` }
  }

  async function execProbe(command: readonly string[], container: Container, containerId: string, timeoutMs: number): Promise<Verdict> {
    const literals = new Map((container.env ?? []).map(({ name, value }) => [name, value ?? '']))
    const words = command.map((word) => expand(word, (name) => literals.get(name)))
    try {
      const { stdout, stderr, exitCode } = await node.containers.execSync(containerId, words, timeoutMs / 1000)
      const decoder = new TextDecoder()
      const output = (decoder.decode(stdout) + decoder.decode(stderr)).slice(0, MAX_OUTPUT)
      return { result: exitCode === 0 ? 'success' : 'failure', output }
    } catch (error) {
      if (error instanceof RuntimeError && error.code === 'DeadlineExceeded') {
        const why = `command timed out: "${words.join(' ')}" timed out after ${timeoutMs / 1000}s`
        return { result: 'failure', output: why }
      }
      throw error
    }
  }

  function begin(target: ProbedContainer, kind: ProbeKind): void {
    const adopted = kind === 'startup' ? target.wasStarted : kind === 'readiness' && target.wasReady
    const prober: Prober = {
      kind,
      target,
      result: adopted ? 'success' : INITIAL[kind],
      last: undefined,
      run: 0,
      isDone: adopted && kind === 'startup',
      cancel: undefined,
    }
    probers.set(keyOf(target.containerId, kind), prober)
    if (!prober.isDone && (kind === 'startup' || isStarted(prober))) schedule(prober, initialDelay(prober))
  }

  return {
    get: (containerId, kind) => probers.get(keyOf(containerId, kind))?.result,
    update(nextPod, running, nextIP) {
      if (isClosed) return
      pod = nextPod
      podIP = nextIP
      const alive = new Set(running.map(({ containerId }) => containerId))
      for (const [key, prober] of probers) {
        if (alive.has(prober.target.containerId)) continue
        prober.cancel?.()
        probers.delete(key)
      }
      for (const target of running)
        for (const kind of KINDS) if (probeOf(target.container, kind) && !probers.has(keyOf(target.containerId, kind))) begin(target, kind)
    },
    close() {
      isClosed = true
      for (const prober of probers.values()) prober.cancel?.()
      probers.clear()
    },
  }
}
