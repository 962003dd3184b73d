/**
 * Which of the Pod Security Standards a namespace asks for, by its labels (KEP-2579), and what a pod has against them. What cannot be
 * read counts as the strictest level where it is enforced and as none where it only warns.
 */
import type { FieldError } from '../../../api/status.ts'
import { checks, type CheckPod, type PodLike, type Refusal } from './checks.ts'

export type Level = 'privileged' | 'baseline' | 'restricted'

/** By strictness. */
const LEVELS: readonly string[] = ['privileged', 'baseline', 'restricted'] satisfies readonly Level[]

export interface LevelVersion {
  readonly level: Level
  /** "latest" or "v1.x". */
  readonly version: string
}

export type Mode = 'enforce' | 'audit' | 'warn'
export const MODES: readonly Mode[] = ['enforce', 'audit', 'warn']

export type Policy = Readonly<Record<Mode, LevelVersion>>

export const shown = ({ level, version }: LevelVersion): string => `${level}:${version}`
export const isSame = (a: LevelVersion, b: LevelVersion): boolean => a.level === b.level && a.version === b.version
export const isStricter = (a: Level, b: Level): boolean => LEVELS.indexOf(a) > LEVELS.indexOf(b)

const PREFIX = 'pod-security.kubernetes.io/'

export const levelFault = (text: string): string | undefined =>
  LEVELS.includes(text) ? undefined : 'must be one of privileged, baseline, restricted'

export const versionFault = (text: string): string | undefined =>
  text === 'latest' || /^v1\.(\d|[1-9]\d*)$/.test(text) ? undefined : 'must be "latest" or "v1.x"'

/** A policy is always answered, also when labels cannot be read. */
export function policyOf(
  labels: Readonly<Record<string, string>> | undefined,
  defaults: Policy,
): { readonly policy: Policy; readonly errors: readonly FieldError[] } {
  if (!labels || !Object.keys(labels).some((key) => key.startsWith(PREFIX))) return { policy: defaults, errors: [] }
  const errors: FieldError[] = []
  const policy: Record<Mode, LevelVersion> = { ...defaults }
  const read = (label: string, fault: (text: string) => string | undefined, otherwise: string): string | undefined => {
    const text = labels[PREFIX + label]
    if (text === undefined) return undefined
    const why = fault(text)
    if (why === undefined) return text
    errors.push({
      type: 'FieldValueInvalid',
      field: `metadata.labels[${PREFIX}${label}]`,
      detail: `Invalid value: ${JSON.stringify(text)}: ${why}`,
    })
    return otherwise
  }
  for (const mode of MODES) {
    const level = read(mode, levelFault, mode === 'enforce' ? 'restricted' : 'privileged') as Level | undefined
    const version = read(`${mode}-version`, versionFault, 'latest')
    policy[mode] = { level: level ?? defaults[mode].level, version: version ?? defaults[mode].version }
  }
  const enforced = labels[`${PREFIX}enforce`]
  // Who enforces a level is warned by it, too: of workloads, whose pods come later.
  if (
    enforced !== undefined &&
    levelFault(enforced) === undefined &&
    labels[`${PREFIX}warn`] === undefined &&
    isStricter(policy.enforce.level, policy.warn.level)
  ) {
    const version = labels[`${PREFIX}warn-version`] === undefined ? policy.enforce.version : policy.warn.version
    policy.warn = { level: policy.enforce.level, version }
  }
  return { policy, errors }
}

/** The version after which no check has changed. */
const NEWEST = Math.max(...checks.flatMap(({ versions }) => versions.map(([minor]) => minor)))

/** The checks of a level at a minor version. */
function checksAt(level: 'baseline' | 'restricted', minor: number): readonly CheckPod[] {
  const current = checks
    .filter((check) => level === 'restricted' || check.level === 'baseline')
    .map((check) => ({ ...check, check: check.versions.findLast(([from]) => from <= minor)?.[1] }))
    .filter(({ check }) => check !== undefined)
  const overridden = new Set(current.map(({ overrides }) => overrides))
  return current.filter(({ id }) => !overridden.has(id)).map(({ check }) => check!)
}

const ofEachVersion = (level: 'baseline' | 'restricted') => Array.from({ length: NEWEST + 1 }, (_, minor) => checksAt(level, minor))
const checksOf = { baseline: ofEachVersion('baseline'), restricted: ofEachVersion('restricted') }

/** What the pod has against the level; empty when it may run. */
export function evaluate({ level, version }: LevelVersion, pod: PodLike): readonly Refusal[] {
  if (level === 'privileged') return []
  const minor = version === 'latest' ? NEWEST : Math.min(Number(version.slice('v1.'.length)), NEWEST)
  const refusals: Refusal[] = []
  for (const check of checksOf[level][minor]!) {
    const refusal = check(pod)
    if (refusal) refusals.push(refusal)
  }
  return refusals
}

export const reasonsText = (refusals: readonly Refusal[]): string => refusals.map(({ reason }) => reason).join(', ')

export const detailsText = (refusals: readonly Refusal[]): string =>
  refusals.map(({ reason, detail }) => (detail ? `${reason} (${detail})` : reason)).join(', ')
