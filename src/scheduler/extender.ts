/**
 * Extenders: services outside of the process that filter, score, preempt and bind by HTTP (kube-scheduler extender/v1), asked after the
 * plugins and one after the other. Their answers are untrusted: a node that was not asked about is an error, not a choice.
 */
import type { Pod } from '../api/generated/core/v1.ts'
import type { Random } from '../base/random.ts'
import type { ExtenderConfig } from './extender-config.ts'
import { impossible, insufficient, MAXIMUM_SCORE } from './framework.ts'
import type { Candidate, Profile } from './framework.ts'
import type { PodInfo } from './pod-info.ts'
import { cheapest } from './plugins/default-preemption.ts'
import { decideNode, decideNone, noNodes } from './schedule-one.ts'
import type { Decision } from './schedule-one.ts'
import { pickBest, scoreNodes } from './scoring.ts'
import { findFeasible } from './search.ts'
import type { SearchOptions } from './search.ts'
import type { Snapshot } from './snapshot.ts'

/** Posts JSON to the URL and gives back the answer's JSON; rejects when it is not 200 or takes longer than the extender's time. */
export type AskExtender = (extender: ExtenderConfig, url: string, body: unknown, signal: AbortSignal) => Promise<unknown>

export interface Extender {
  readonly config: ExtenderConfig
  send(verb: string, body: unknown): Promise<unknown>
}

/** The name under which extenders reject: it is no plugin's, so that any event makes the pod worth another try. */
export const EXTENDER = 'Extender'
/** Scores of extenders go to this. */
const MAXIMUM_EXTENDER_SCORE = 10

/** Those whose failing matters first, as upstream orders them. */
export function createExtenders(configs: readonly ExtenderConfig[], ask: AskExtender, signal: AbortSignal): readonly Extender[] {
  const ordered = [...configs.filter(({ isIgnorable }) => !isIgnorable), ...configs.filter(({ isIgnorable }) => isIgnorable)]
  return ordered.map((config) => ({
    config,
    send: (verb, body) => ask(config, `${config.urlPrefix.replace(/\/+$/, '')}/${verb}`, body, signal),
  }))
}

/** Does the extender manage something that the pod wants? */
export function isInterested({ config }: Extender, pod: Pod): boolean {
  const { managedResources } = config
  if (managedResources.length === 0) return true
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]
  return containers.some(({ resources }) =>
    managedResources.some(({ name }) => resources?.requests?.[name] !== undefined || resources?.limits?.[name] !== undefined),
  )
}

const argumentsOf = ({ config }: Extender, pod: Pod, snapshot: Snapshot, places: readonly number[]): object =>
  config.isNodeCacheCapable
    ? { Pod: pod, NodeNames: places.map((place) => snapshot.nodes[place]!.name) }
    : { Pod: pod, Nodes: { items: places.map((place) => snapshot.nodes[place]!.node) } }

interface FilterAnswer {
  readonly Nodes?: { readonly items?: readonly { readonly metadata?: { readonly name?: string } }[] } | null
  readonly NodeNames?: readonly string[] | null
  readonly FailedNodes?: Readonly<Record<string, string>> | null
  readonly FailedAndUnresolvableNodes?: Readonly<Record<string, string>> | null
  readonly Error?: string
}

interface Filtered {
  readonly places: readonly number[]
  readonly failed: Readonly<Record<string, string>>
  readonly unresolvable: Readonly<Record<string, string>>
}

async function filterBy(extender: Extender, pod: Pod, snapshot: Snapshot, places: readonly number[]): Promise<Filtered> {
  const { config } = extender
  const answer = ((await extender.send(config.filterVerb, argumentsOf(extender, pod, snapshot, places))) ?? {}) as FilterAnswer
  if (answer.Error) throw new Error(answer.Error)
  const names =
    config.isNodeCacheCapable && answer.NodeNames
      ? answer.NodeNames
      : (answer.Nodes?.items ?? []).map(({ metadata }) => metadata?.name ?? '')
  const asked = new Map(places.map((place) => [snapshot.nodes[place]!.name, place]))
  const kept = names.map((name) => {
    const place = asked.get(name)
    if (place !== undefined) return place
    throw new Error(`extender "${config.urlPrefix}" claims a filtered node "${name}" which is not found in the input node list`)
  })
  return { places: kept, failed: answer.FailedNodes ?? {}, unresolvable: answer.FailedAndUnresolvableNodes ?? {} }
}

interface HostPriority {
  readonly Host: string
  readonly Score: number
}

/** Adds each extender's weighted scores; one that fails leaves the choice to the others. */
async function addScores(extenders: readonly Extender[], pod: Pod, snapshot: Snapshot, places: readonly number[], totals: Float64Array) {
  const asked = extenders.filter((extender) => extender.config.prioritizeVerb && isInterested(extender, pod))
  const answers = await Promise.allSettled(
    asked.map((extender) => extender.send(extender.config.prioritizeVerb, argumentsOf(extender, pod, snapshot, places))),
  )
  for (const [i, answer] of answers.entries()) {
    if (answer.status === 'rejected' || !Array.isArray(answer.value)) continue
    const scores = new Map((answer.value as readonly HostPriority[]).map(({ Host, Score }) => [Host, Score]))
    const factor = asked[i]!.config.weight * (MAXIMUM_SCORE / MAXIMUM_EXTENDER_SCORE)
    for (const [k, place] of places.entries()) totals[k]! += (scores.get(snapshot.nodes[place]!.name) ?? 0) * factor
  }
}

interface MetaVictims {
  readonly Pods?: readonly { readonly UID: string }[] | null
  readonly NumPDBViolations?: number
}

const victimsOf = ({ config }: Extender, candidates: readonly Candidate[]): object =>
  Object.fromEntries(
    candidates.map(({ node, victims, budgetViolations }) => [
      node,
      { Pods: victims.map((victim) => (config.isNodeCacheCapable ? { UID: victim.uid } : victim.pod)), NumPDBViolations: budgetViolations },
    ]),
  )

/** The candidates that every extender agrees to, as it changed them. */
async function reviewed(
  extenders: readonly Extender[],
  pod: Pod,
  snapshot: Snapshot,
  all: readonly Candidate[],
): Promise<readonly Candidate[]> {
  let candidates = all
  for (const extender of extenders) {
    if (candidates.length === 0) break
    const { config } = extender
    if (!config.preemptVerb || !isInterested(extender, pod)) continue
    const field = config.isNodeCacheCapable ? 'NodeNameToMetaVictims' : 'NodeNameToVictims'
    try {
      const answer = (await extender.send(config.preemptVerb, { Pod: pod, [field]: victimsOf(extender, candidates) })) as {
        readonly NodeNameToMetaVictims?: Readonly<Record<string, MetaVictims>> | null
      } | null
      candidates = Object.entries(answer?.NodeNameToMetaVictims ?? {}).flatMap(([node, meta]) => {
        const victims = (meta.Pods ?? []).map(({ UID }) => {
          const found = snapshot.node(node)?.pods.find(({ uid }) => uid === UID)
          if (found) return found
          throw new Error(
            `extender: ${config.urlPrefix} claims to preempt pod (UID: ${UID}) on node: ${node}, but the pod is not found on that node`,
          )
        })
        if (victims.length > 0) return [{ node, victims, budgetViolations: meta.NumPDBViolations ?? 0 }]
        if (config.isIgnorable) return []
        throw new Error(`expected at least one victim pod on node "${node}"`)
      })
    } catch (error) {
      if (!config.isIgnorable) throw error
    }
  }
  return candidates
}

/** The decision with extenders: as `scheduleOne`, and they filter, score and review preemptions on top. */
export async function scheduleWithExtenders(
  extenders: readonly Extender[],
  snapshot: Snapshot,
  pod: PodInfo,
  profile: Profile,
  random: Random,
  options: SearchOptions = {},
): Promise<Decision> {
  if (snapshot.nodes.length === 0) return noNodes
  const search = findFeasible(snapshot, pod, profile, {
    ...options,
    hasExtenders: extenders.some(({ config }) => config.filterVerb !== ''),
  })
  let places = search.feasible
  for (const extender of extenders) {
    if (places.length === 0) break
    if (!extender.config.filterVerb || !isInterested(extender, pod.pod)) continue
    let filtered: Filtered
    try {
      filtered = await filterBy(extender, pod.pod, snapshot, places)
    } catch (error) {
      if (extender.config.isIgnorable) continue
      throw error
    }
    for (const [name, message] of Object.entries(filtered.failed)) note(name, insufficient(message))
    for (const [name, message] of Object.entries(filtered.unresolvable)) note(name, impossible(message))
    places = filtered.places
  }
  function note(name: string, rejection: ReturnType<typeof impossible>): void {
    const place = snapshot.indexOf(name)
    if (place !== undefined) search.rejections[place] = rejection
  }
  if (places.length < search.feasible.length) search.rejectedBy.add(EXTENDER)
  const found = { ...search, feasible: places }
  if (places.length === 1) return decideNode(snapshot, found, places[0]!)
  if (places.length > 1) {
    const totals = scoreNodes(snapshot, pod, profile, places, options.memory)
    await addScores(extenders, pod.pod, snapshot, places, totals)
    return decideNode(snapshot, found, pickBest(places, totals, random))
  }
  const decision = decideNone(snapshot, pod, profile, random, found)
  if (decision.kind !== 'none' || !decision.preemption?.candidates) return decision
  const candidates = await reviewed(extenders, pod.pod, snapshot, decision.preemption.candidates)
  if (candidates.length === 0) return { ...decision, preemption: undefined, clearNomination: false }
  const { node, victims } = cheapest(candidates)
  return { ...decision, preemption: { nominate: node, victims } }
}

/** Has the extender that binds, if one does and cares, bind the pod; undefined when the plugins bind it. */
export function bindingExtender(extenders: readonly Extender[], pod: PodInfo, nodeName: string): (() => Promise<void>) | undefined {
  const binder = extenders.find((extender) => extender.config.bindVerb && isInterested(extender, pod.pod))
  if (!binder) return undefined
  return async () => {
    const { metadata } = pod.pod
    const body = { PodName: metadata?.name, PodNamespace: pod.namespace, PodUID: pod.uid, Node: nodeName }
    const answer = (await binder.send(binder.config.bindVerb, body)) as { readonly Error?: string } | null
    if (answer?.Error) throw new Error(answer.Error)
  }
}
