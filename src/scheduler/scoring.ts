/** Which of the nodes that fit is the best: the weighted sum of every plugin's score, ties broken by chance. */
import { randomInt } from '../base/random.ts'
import type { Random } from '../base/random.ts'
import type { Plugin, Profile } from './framework.ts'
import type { PodInfo } from './pod-info.ts'
import type { DecisionMemory } from './search.ts'
import type { Snapshot } from './snapshot.ts'

/** Raw scores, remembered for equal pods where they depend on nothing but the node and the pod's template. */
function rawScores(
  plugin: Plugin,
  state: unknown,
  pod: PodInfo,
  places: readonly number[],
  snapshot: Snapshot,
  options: { readonly memory: DecisionMemory | undefined; readonly schedulerName: string },
  scores: number[],
): void {
  const template = options.memory && plugin.template?.(pod, snapshot)
  if (template === undefined) {
    for (let i = 0; i < places.length; i++) scores[i] = plugin.score!(state, pod, snapshot.nodes[places[i]!]!, snapshot)
    return
  }
  const known = options.memory!.scores.of(`${options.schedulerName}\n${plugin.name} ${template}`, () => ({ nodes: [], scores: [] }))
  for (let i = 0; i < places.length; i++) {
    const place = places[i]!
    const node = snapshot.nodes[place]!
    if (known.nodes[place] !== node) {
      known.nodes[place] = node
      known.scores[place] = plugin.score!(state, pod, node, snapshot)
    }
    scores[i] = known.scores[place]!
  }
}

/** The sums of weighted scores of the nodes at these places, in their order. */
export function scoreNodes(
  snapshot: Snapshot,
  pod: PodInfo,
  profile: Profile,
  places: readonly number[],
  memory?: DecisionMemory,
): Float64Array {
  const nodes = places.map((place) => snapshot.nodes[place]!)
  const totals = new Float64Array(nodes.length)
  const scores = Array.from<number>({ length: nodes.length })
  const states = new Map<Plugin, unknown>()
  const skipped = new Set<Plugin>()
  for (const plugin of profile.points.preScore) {
    const prepared = plugin.preScore!(pod, nodes, snapshot)
    if ('skip' in prepared) skipped.add(plugin)
    else states.set(plugin, prepared.state)
  }
  const options = { memory, schedulerName: profile.schedulerName }
  for (const plugin of profile.points.score) {
    if (skipped.has(plugin)) continue
    const state = states.get(plugin)
    const weight = profile.weights.get(plugin.name) ?? 1
    rawScores(plugin, state, pod, places, snapshot, options, scores)
    plugin.normalise?.(scores, state, nodes)
    for (let i = 0; i < nodes.length; i++) totals[i]! += weight * scores[i]!
  }
  return totals
}

/** One of the best, each with the same chance. */
export function pickBest(places: readonly number[], totals: Float64Array, random: Random): number {
  let best = 0
  let ties = 1
  for (let i = 1; i < places.length; i++) {
    if (totals[i]! > totals[best]!) {
      best = i
      ties = 1
    } else if (totals[i] === totals[best] && randomInt(random, ++ties) === 0) best = i
  }
  return places[best]!
}
