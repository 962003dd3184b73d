import assert from 'node:assert/strict'
import { test } from 'node:test'
import { definePlugin } from '../framework.ts'
import type { Point } from '../framework.ts'
import { ConfigurationError, readConfiguration } from './configuration.ts'
import type { ConfigurationOptions } from './configuration.ts'

const head = 'apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n'
const read = (text: string, options?: ConfigurationOptions) => readConfiguration(head + text, options)
const errorsOf = (text: string, options?: ConfigurationOptions): readonly string[] => {
  try {
    read(text, options)
  } catch (error) {
    if (error instanceof ConfigurationError) return error.errors
    throw error
  }
  return []
}
const namesAt = (text: string, point: Point, options?: ConfigurationOptions) =>
  read(text, options).profiles[0]!.points[point].map(({ name }) => name)

test('without anything it is the default profile', () => {
  const { profiles, backOff, extenders } = read('')
  assert.deepEqual(backOff, { initialMs: 1_000, maximumMs: 10_000 })
  assert.deepEqual(extenders, [])
  assert.equal(profiles.length, 1)
  const { schedulerName, points, weights, percentageOfNodesToScore } = profiles[0]!
  assert.equal(schedulerName, 'default-scheduler')
  assert.equal(percentageOfNodesToScore, 0)
  assert.deepEqual(
    points.score.map(({ name }) => `${name} ${weights.get(name)}`),
    [
      'TaintToleration 3',
      'NodeAffinity 2',
      'NodeResourcesFit 1',
      'PodTopologySpread 2',
      'InterPodAffinity 2',
      'DynamicResources 2',
      'NodeResourcesBalancedAllocation 1',
      'ImageLocality 1',
    ],
  )
  assert.deepEqual(
    points.queueSort.map(({ name }) => name),
    ['PrioritySort'],
  )
})

test('profiles have names, shares and weights of their own', () => {
  const { profiles } = read(`
percentageOfNodesToScore: 40
profiles:
- schedulerName: a
  plugins: {score: {disabled: [{name: '*'}], enabled: [{name: NodeResourcesFit, weight: 7}]}}
- schedulerName: b
  percentageOfNodesToScore: 70
  plugins: {multiPoint: {disabled: [{name: ImageLocality}], enabled: [{name: NodeAffinity, weight: 9}]}}
`)
  assert.deepEqual(
    profiles.map((profile) => [profile.schedulerName, profile.percentageOfNodesToScore]),
    [
      ['a', 40],
      ['b', 70],
    ],
  )
  assert.deepEqual(
    profiles[0]!.points.score.map(({ name }) => [name, profiles[0]!.weights.get(name)]),
    [['NodeResourcesFit', 7]],
  )
  assert.ok(profiles[0]!.points.filter.some(({ name }) => name === 'TaintToleration'))
  assert.equal(profiles[1]!.weights.get('NodeAffinity'), 9)
  assert.ok(!profiles[1]!.points.score.some(({ name }) => name === 'ImageLocality'))
})

test('what is named at a point goes first there when it is enabled everywhere, too', () => {
  const filters = namesAt('profiles: [{plugins: {filter: {enabled: [{name: NodeResourcesFit}], disabled: [{name: NodeName}]}}}]', 'filter')
  assert.equal(filters[0], 'NodeResourcesFit')
  assert.ok(!filters.includes('NodeName') && filters.includes('NodeAffinity'))
  assert.deepEqual(namesAt('profiles: [{plugins: {preFilter: {disabled: [{name: "*"}]}}}]', 'preFilter'), [])
})

test("a user's own plugin takes part where it is enabled, with its arguments, or everywhere", () => {
  let seen: unknown
  const options: ConfigurationOptions = {
    plugins: {
      Mine: (args) => {
        seen = args
        return definePlugin({ name: 'Mine', filter: () => undefined, score: () => 1 })
      },
    },
  }
  assert.equal(namesAt('', 'filter', options).at(-1), 'Mine')
  const text = 'profiles: [{plugins: {score: {enabled: [{name: Mine, weight: 3}]}}, pluginConfig: [{name: Mine, args: {colour: red}}]}]'
  assert.ok(!namesAt(text, 'filter', options).includes('Mine'))
  assert.equal(namesAt(text, 'score', options).at(-1), 'Mine')
  assert.deepEqual(seen, { colour: 'red' })
  assert.equal(read(text, options).profiles[0]!.weights.get('Mine'), 3)
})

const wrong: readonly (readonly [name: string, text: string, error: RegExp])[] = [
  [
    'an unknown plugin',
    'profiles: [{plugins: {multiPoint: {enabled: [{name: Foo}]}}}]',
    /^profiles\[0\]\.plugins\.multiPoint\.enabled\[0\]\.name: plugin "Foo" does not exist; there are DefaultBinder, /,
  ],
  [
    'an unknown plugin in a point',
    'profiles: [{plugins: {score: {enabled: [{name: Bar}]}}}]',
    /score\.enabled\[0\]\.name: plugin "Bar" does not exist/,
  ],
  ['arguments of an unknown plugin', 'profiles: [{pluginConfig: [{name: Foo, args: {}}]}]', /plugin "Foo" .* does not exist/],
  ['a plugin of long ago', 'profiles: [{plugins: {filter: {enabled: [{name: EBSLimits}]}}}]', /was invalid in version/],
  [
    'a plugin at a point that it does not know',
    'profiles: [{plugins: {score: {enabled: [{name: NodeName}]}}}]',
    /plugin "NodeName" does not extend score plugin/,
  ],
  ['an unknown field', 'profils: []', /strict decoding error: unknown field "profils"/],
  [
    'an unknown argument',
    'profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {x: 1}}]}]',
    /unknown field "profiles\[0\]\.pluginConfig\[0\]\.args\.x"/,
  ],
  ['no binder', 'profiles: [{plugins: {bind: {disabled: [{name: "*"}]}}}]', /at least one bind plugin is needed/],
  ['no order', 'profiles: [{plugins: {queueSort: {disabled: [{name: "*"}]}}}]', /only one queue sort plugin required, but got 0/],
  ['two of a name', 'profiles: [{schedulerName: a}, {schedulerName: a}]', /profiles\[1\]\.schedulerName: Duplicate value/],
  ['no name', 'profiles: [{schedulerName: a}, {}]', /profiles\[1\]\.schedulerName: Required value/],
  ['a share beyond all', 'percentageOfNodesToScore: 101', /percentageOfNodesToScore: Invalid value: 101: not in valid range \[0-100\]/],
  ['no parallelism', 'parallelism: 0', /parallelism: Invalid value: 0: should be an integer value greater than zero/],
  ['a back-off that shrinks', 'podInitialBackoffSeconds: 20', /podMaxBackoffSeconds: Invalid value: null: must be greater than or equal/],
  [
    'a strategy that is none',
    'profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: Best}}}]}]',
    /scoringStrategy\.type: Unsupported value: "Best": supported values: "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"/,
  ],
  [
    'a shape that does not rise',
    'profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: RequestedToCapacityRatio, requestedToCapacityRatio: {shape: [{utilization: 5, score: 1}, {utilization: 5, score: 2}]}}}}]}]',
    /values must be sorted in increasing order/,
  ],
  [
    'a weight beyond all',
    'profiles: [{pluginConfig: [{name: InterPodAffinity, args: {hardPodAffinityWeight: 101}}]}]',
    /hardPodAffinityWeight: Invalid value: 101: not in valid range \[0, 100\]/,
  ],
  [
    'defaults of the system and of a list',
    'profiles: [{pluginConfig: [{name: PodTopologySpread, args: {defaultConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]}}]}]',
    /defaultingType: .*when \.defaultConstraints are not empty/,
  ],
  [
    'a shape without its gate',
    'profiles: [{pluginConfig: [{name: VolumeBinding, args: {shape: []}}]}]',
    /turn on the feature gate StorageCapacityScoring/,
  ],
  [
    'an extender without weight',
    'extenders: [{urlPrefix: "http://x", prioritizeVerb: p}]',
    /extenders\[0\]\.weight: Invalid value: null: must have a positive weight/,
  ],
  [
    'two binders',
    'extenders: [{urlPrefix: "http://x", bindVerb: b}, {urlPrefix: "http://y", bindVerb: b}]',
    /only one extender can implement bind/,
  ],
  [
    'an order that differs',
    'profiles: [{schedulerName: a}, {schedulerName: b, plugins: {queueSort: {enabled: [{name: Other}], disabled: [{name: PrioritySort}]}}}]',
    /queueSort/,
  ],
]
for (const [name, text, error] of wrong)
  test(`told at the start: ${name}`, () => {
    const errors = errorsOf(text)
    assert.ok(
      errors.some((line) => error.test(line)),
      `${error} is not among: ${errors.join('\n')}`,
    )
  })

test('not a configuration at all', () => {
  assert.throws(() => readConfiguration('a: [', {}), /invalid scheduler configuration: yaml: /)
  assert.throws(() => readConfiguration('kind: Pod', {}), /expected kubescheduler\.config\.k8s\.io\/v1 and kind KubeSchedulerConfiguration/)
})

test('extenders are read', () => {
  const { extenders, profiles } = read(`
extenders:
- urlPrefix: https://e/x
  filterVerb: filter
  httpTimeout: 1m30s
  enableHTTPS: true
  nodeCacheCapable: true
  managedResources: [{name: example.com/foo, ignoredByScheduler: true}]
`)
  assert.equal(extenders[0]!.timeoutMs, 90_000)
  assert.ok(extenders[0]!.isHttps && extenders[0]!.isNodeCacheCapable)
  assert.equal(profiles.length, 1)
})
