/**
 * KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1): from what a user wrote to the profiles that the scheduler runs. Whatever
 * is wrong is told at the start, all of it at once; a scheduler never runs on half of a configuration.
 */
import type { Json } from '../../api/object.ts'
import { parseYaml, YamlSyntaxError } from '../../api/yaml.ts'
import type { ExtenderConfig } from '../extender-config.ts'
import type { Plugin, Profile } from '../framework.ts'
import { defaultPlugins } from '../profile.ts'
import type { BackOff } from '../queue.ts'
import { Fields } from './fields.ts'
import { withArgs } from './plugin-args.ts'
import { readExtenders } from './extenders.ts'
import { pointsOf, readPlugins } from './plugin-sets.ts'

/** Makes a plugin of the user's from the arguments that the configuration has for it. */
export type PluginFactory = (args: Json | undefined) => Plugin

export interface SchedulerConfiguration {
  readonly profiles: readonly Profile[]
  readonly extenders: readonly ExtenderConfig[]
  readonly backOff: BackOff
}

/** What is wrong with a configuration, a line each. */
export class ConfigurationError extends Error {
  readonly errors: readonly string[]
  constructor(errors: readonly string[]) {
    super(`invalid scheduler configuration: ${errors.length === 1 ? errors[0] : `\n  ${errors.join('\n  ')}`}`)
    this.name = 'ConfigurationError'
    this.errors = errors
  }
}

export const API_VERSION = 'kubescheduler.config.k8s.io/v1'
const KIND = 'KubeSchedulerConfiguration'
const DEFAULT_NAME = 'default-scheduler'
/** Accepted and without meaning here: one thread decides, clients are not throttled, and one scheduler runs. */
const WITHOUT_MEANING = ['leaderElection', 'clientConnection', 'enableProfiling', 'enableContentionProfiling', 'delayCacheUntilActive']

export interface ConfigurationOptions {
  /** Plugins of the user's, by name. One that is not enabled in any profile takes part in all of them, everywhere it can. */
  readonly plugins?: Readonly<Record<string, PluginFactory>>
}

/** Reads a YAML or JSON text, or an object. Throws a ConfigurationError. */
export function readConfiguration(input: string | object, options: ConfigurationOptions = {}): SchedulerConfiguration {
  const errors: string[] = []
  const configuration = read(parse(input), errors, options)
  if (errors.length > 0) throw new ConfigurationError(errors)
  return configuration
}

function parse(input: string | object): Json {
  if (typeof input !== 'string') return input as Json
  try {
    return parseYaml(input).value
  } catch (error) {
    if (error instanceof YamlSyntaxError) throw new ConfigurationError([error.message])
    throw error
  }
}

function read(input: Json, errors: string[], { plugins = {} }: ConfigurationOptions): SchedulerConfiguration {
  const fields = new Fields(input, '', errors)
  if (fields.text('apiVersion') !== API_VERSION || fields.text('kind') !== KIND)
    fields.error('apiVersion', `expected ${API_VERSION} and kind ${KIND}`)
  for (const name of WITHOUT_MEANING) fields.raw(name)
  if ((fields.integer('parallelism') ?? 16) <= 0) fields.invalid('parallelism', 'should be an integer value greater than zero')
  const percentage = readPercentage(fields) ?? 0
  const initial = fields.integer('podInitialBackoffSeconds') ?? 1
  const maximum = fields.integer('podMaxBackoffSeconds') ?? 10
  if (initial <= 0) fields.invalid('podInitialBackoffSeconds', 'must be greater than 0')
  if (maximum < initial) fields.invalid('podMaxBackoffSeconds', 'must be greater than or equal to PodInitialBackoffSeconds')
  const elements = fields.objects('profiles')
  const list = elements.length > 0 ? elements : [new Fields({}, 'profiles[0]', errors)]
  const extenders = readExtenders(fields)
  const ignoredResources = extenders
    .flatMap(({ managedResources }) => managedResources)
    .filter(({ isIgnoredByScheduler }) => isIgnoredByScheduler)
    .map(({ name }) => name)
  const profiles = list.map((element) => readProfile(element, { percentage, isOnly: list.length === 1, plugins, ignoredResources, errors }))
  checkNames(list, profiles)
  checkQueueSort(list, profiles)
  fields.done()
  return { profiles, extenders, backOff: { initialMs: initial * 1_000, maximumMs: maximum * 1_000 } }
}

function readPercentage(fields: Fields): number | undefined {
  const percentage = fields.integer('percentageOfNodesToScore')
  if (percentage !== undefined && (percentage < 0 || percentage > 100))
    fields.invalid('percentageOfNodesToScore', 'not in valid range [0-100]')
  return percentage
}

interface ProfileContext {
  readonly percentage: number
  readonly isOnly: boolean
  readonly plugins: Readonly<Record<string, PluginFactory>>
  readonly ignoredResources: readonly string[]
  readonly errors: string[]
}

/** Each plugin once for the profile, made of the arguments that are given for it. */
function readProfile(fields: Fields, context: ProfileContext): Profile {
  const { percentage, isOnly, plugins, ignoredResources } = context
  const schedulerName = fields.text('schedulerName') ?? (isOnly ? DEFAULT_NAME : '')
  const own = readPercentage(fields)
  const args = readPluginConfig(fields)
  const made = new Map<string, Plugin>()
  const defaults = defaultPlugins()
  const add = (plugin: Plugin) => made.set(plugin.name, plugin)
  for (const { plugin } of defaults) {
    const make = withArgs[plugin.name]
    const given = args.get(plugin.name) ?? new Fields({}, '', context.errors)
    for (const name of ['apiVersion', 'kind']) given.text(name)
    add(make ? make(given, ignoredResources) : plugin)
    given.done()
  }
  for (const [name, factory] of Object.entries(plugins)) {
    const plugin = factory(args.get(name)?.whole())
    if (plugin.name !== name) fields.error('plugins', `the plugin registered as "${name}" is called "${plugin.name}"`)
    add(plugin)
  }
  for (const [name, given] of args) if (!made.has(name)) fields.error('pluginConfig', `plugin "${name}" (${given.path}) does not exist`)
  const sets = readPlugins(
    fields.object('plugins'),
    { path: fields.pathOf('plugins'), made, defaults, added: Object.keys(plugins) },
    fields,
  )
  fields.done()
  const { points, weights } = pointsOf(sets, made, fields)
  const taking = new Set(Object.values(points).flat())
  return {
    schedulerName,
    plugins: [...made.values()].filter((plugin) => taking.has(plugin)),
    points,
    weights,
    percentageOfNodesToScore: own ?? percentage,
  }
}

function readPluginConfig(fields: Fields): ReadonlyMap<string, Fields> {
  const args = new Map<string, Fields>()
  for (const element of fields.objects('pluginConfig')) {
    const name = element.text('name') ?? ''
    const given = element.object('args')
    if (args.has(name)) element.error('name', `Duplicate value: "${name}"`)
    if (given) args.set(name, given)
    element.done()
  }
  return args
}

function checkNames(list: readonly Fields[], profiles: readonly Profile[]): void {
  for (const [i, { schedulerName }] of profiles.entries()) {
    if (!schedulerName) list[i]!.error('schedulerName', 'Required value')
    const first = profiles.findIndex((profile) => profile.schedulerName === schedulerName)
    if (first < i) list[i]!.error('schedulerName', `Duplicate value: "${schedulerName}" is the name of profiles[${first}], too`)
  }
}

/** Pods of all profiles wait in one queue, so it has one order. */
function checkQueueSort(list: readonly Fields[], profiles: readonly Profile[]): void {
  const nameOf = ({ points }: Profile): string | undefined => points.queueSort[0]?.name
  for (const [i, profile] of profiles.entries())
    if (nameOf(profile) !== nameOf(profiles[0]!)) list[i]!.error('plugins.queueSort', 'must be the same for all profiles')
}
