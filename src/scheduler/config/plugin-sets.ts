/**
 * Which plugins take part at which point, in which order: what a profile enables and disables over the defaults, by point or
 * everywhere (multiPoint), merged by upstream's rules (mergePlugins and expandMultiPointPlugins).
 */
import { pluginsAt, POINTS } from '../framework.ts'
import type { Plugin, Point, Profile, WeightedPlugin } from '../framework.ts'
import type { Fields } from './fields.ts'

interface Enabled {
  readonly name: string
  readonly weight: number | undefined
}

interface PluginSet {
  readonly enabled: readonly Enabled[]
  readonly disabled: ReadonlySet<string>
}

export type PluginSets = Readonly<Record<Point | 'multiPoint', PluginSet>>

/** Removed for long; a configuration that names one was made for another release. */
const REMOVED: ReadonlySet<string> = new Set(['AzureDiskLimits', 'CinderLimits', 'EBSLimits', 'GCEPDLimits'])
const EMPTY: PluginSet = { enabled: [], disabled: new Set() }
/** Of pod groups, whose feature gates are off in v1.36. */
const UNUSED_POINTS = ['placementGenerate', 'placementScore']

interface Context {
  readonly path: string
  readonly made: ReadonlyMap<string, Plugin>
  readonly defaults: readonly WeightedPlugin[]
  /** The user's own, which take part when no profile says where. */
  readonly added: readonly string[]
}

export function readPlugins(fields: Fields | undefined, context: Context, profile: Fields): PluginSets {
  const custom: Partial<Record<Point | 'multiPoint', PluginSet>> = {}
  if (fields) {
    for (const point of [...POINTS, 'multiPoint'] as const) {
      const set = fields.object(point)
      if (set) custom[point] = readSet(set, context)
    }
    for (const point of UNUSED_POINTS) fields.raw(point)
    fields.done()
  }
  const named = new Set(Object.values(custom).flatMap(({ enabled, disabled }) => [...enabled.map(({ name }) => name), ...disabled]))
  const unnamed = context.added.filter((name) => !named.has(name)).map((name): Enabled => ({ name, weight: undefined }))
  const defaults = context.defaults.map(({ plugin, weight }): Enabled => ({ name: plugin.name, weight }))
  const multiPoint = custom.multiPoint ?? EMPTY
  const sets = Object.fromEntries(POINTS.map((point) => [point, custom[point] ?? EMPTY])) as unknown as Record<Point, PluginSet>
  const merged = merge(defaults, multiPoint)
  checkDuplicates(merged, profile)
  return { ...sets, multiPoint: { enabled: [...merged, ...unnamed], disabled: multiPoint.disabled } }
}

function readSet(fields: Fields, { made }: Context): PluginSet {
  const enabled = fields.objects('enabled').map((element): Enabled => {
    const name = element.text('name') ?? ''
    const weight = element.integer('weight')
    if (REMOVED.has(name)) element.invalid('name', 'was invalid in version "kubescheduler.config.k8s.io/v1"')
    else if (!made.has(name)) element.error('name', `plugin "${name}" does not exist; there are ${[...made.keys()].toSorted().join(', ')}`)
    if (weight !== undefined && weight < 0) element.invalid('weight', 'must not be negative')
    element.done()
    return { name, weight }
  })
  const disabled = fields.objects('disabled').map((element) => {
    const name = element.text('name') ?? ''
    if (name !== '*' && !made.has(name)) element.error('name', `plugin "${name}" does not exist`)
    element.raw('weight')
    element.done()
    return name
  })
  fields.done()
  return { enabled: enabled.filter(({ name }) => made.has(name)), disabled: new Set(disabled) }
}

/** The defaults without what is disabled, each with the new weight where it is enabled anew, then the others. */
function merge(defaults: readonly Enabled[], { enabled, disabled }: PluginSet): readonly Enabled[] {
  const kept = disabled.has('*') ? [] : defaults.filter(({ name }) => !disabled.has(name))
  const replaced = new Set(kept.map(({ name }) => name))
  return [
    ...kept.map((plugin) => enabled.find(({ name }) => name === plugin.name) ?? plugin),
    ...enabled.filter(({ name }) => !replaced.has(name)),
  ]
}

function checkDuplicates(list: readonly Enabled[], fields: Fields): void {
  const seen = new Set<string>()
  for (const { name } of list) {
    if (seen.has(name)) fields.error('plugins', `plugin "${name}" already registered`)
    seen.add(name)
  }
}

/** Order at a point: plugins named at it that also stand in multiPoint, then the rest of multiPoint, then the others named at it. */
export function pointsOf(
  sets: PluginSets,
  made: ReadonlyMap<string, Plugin>,
  fields: Fields,
): { readonly points: Profile['points']; readonly weights: Profile['weights'] } {
  const everywhere = sets.multiPoint.enabled.map(({ name }) => name)
  const at = (point: Point): readonly Plugin[] => {
    const { enabled, disabled } = sets[point]
    const named = enabled.map(({ name }) => name)
    for (const name of named)
      if (pluginsAt([made.get(name)!], point).length === 0)
        fields.error(`plugins.${point}`, `plugin "${name}" does not extend ${point} plugin`)
    if (new Set(named).size < named.length) fields.error(`plugins.${point}`, `plugin "${named.at(-1)}" already registered`)
    const inherited = disabled.has('*') ? [] : everywhere.filter((name) => !disabled.has(name))
    const names = [
      ...named.filter((name) => inherited.includes(name)),
      ...inherited.filter((name) => !named.includes(name)),
      ...named.filter((name) => !inherited.includes(name)),
    ]
    return pluginsAt(
      names.map((name) => made.get(name)!),
      point,
    )
  }
  const points = Object.fromEntries(POINTS.map((point) => [point, at(point)])) as unknown as Profile['points']
  if (points.queueSort.length !== 1) fields.error('plugins', `only one queue sort plugin required, but got ${points.queueSort.length}`)
  if (points.bind.length === 0) fields.error('plugins', 'at least one bind plugin is needed')
  const weights = new Map<string, number>()
  for (const { name, weight } of [...sets.multiPoint.enabled, ...sets.score.enabled]) weights.set(name, weight || 1)
  return { points, weights }
}
