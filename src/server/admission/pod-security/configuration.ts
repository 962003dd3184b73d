/** PodSecurityConfiguration (pod-security.admission.config.k8s.io): what namespaces without labels get, and who is exempt. */
import { dns1123LabelFaults, dns1123SubdomainFaults } from '../../../api/names.ts'
import { checkConfiguration, ConfigurationError, type ConfigurationKind } from '../../configuration/decode.ts'
import { duplicate, invalid, type FieldErrors } from '../../resources/rules.ts'
import { levelFault, MODES, versionFault, type Level, type LevelVersion, type Mode, type Policy } from './policy.ts'

export interface PodSecurityConfiguration {
  readonly defaults: Policy
  readonly exemptNamespaces: ReadonlySet<string>
  readonly exemptUsers: ReadonlySet<string>
  readonly exemptRuntimeClasses: ReadonlySet<string>
}

interface Written {
  readonly defaults?: Readonly<Record<string, string>>
  readonly exemptions?: {
    readonly usernames?: readonly string[]
    readonly namespaces?: readonly string[]
    readonly runtimeClasses?: readonly string[]
  }
}

const modeFields = MODES.flatMap((mode) => [mode, `${mode}-version`])

const KIND: ConfigurationKind = {
  kind: 'PodSecurityConfiguration',
  apiVersions: ['v1', 'v1beta1', 'v1alpha1'].map((version) => `pod-security.admission.config.k8s.io/${version}`),
  shape: {
    fields: {
      defaults: { fields: Object.fromEntries(modeFields.map((field) => [field, 'string' as const])) },
      exemptions: { fields: { usernames: { list: 'string' }, namespaces: { list: 'string' }, runtimeClasses: { list: 'string' } } },
    },
  },
}

/** `given` is what the admission configuration has for PodSecurity; undefined: everything may run. */
export function podSecurityConfiguration(given: unknown): PodSecurityConfiguration {
  const { defaults = {}, exemptions = {} } = given === undefined ? {} : checkConfiguration<Written>(given, KIND)
  const errors: FieldErrors = []
  const ofMode = (mode: Mode): LevelVersion => {
    // A value that is empty is the default one, as upstream fills it in.
    const level = defaults[mode] || 'privileged'
    const version = defaults[`${mode}-version`] || 'latest'
    const check = (field: string, value: string, fault: string | undefined) => {
      if (fault !== undefined) errors.push(invalid(`defaults.${field}`, value, fault))
    }
    check(mode, level, levelFault(level))
    check(`${mode}-version`, version, versionFault(version))
    return { level: level as Level, version }
  }
  const policy = { enforce: ofMode('enforce'), warn: ofMode('warn'), audit: ofMode('audit') }
  const { namespaces = [], runtimeClasses = [], usernames = [] } = exemptions
  checkNames(errors, 'namespaces', namespaces, dns1123LabelFaults)
  checkNames(errors, 'runtimeClasses', runtimeClasses, dns1123SubdomainFaults)
  checkNames(errors, 'usernames', usernames, (name) => (name === '' ? ['username must not be empty'] : []))
  if (errors.length > 0) throw new ConfigurationError(errors.map(({ field, detail }) => `${field}: ${detail}`).join(', '))
  return {
    defaults: policy,
    exemptNamespaces: new Set(namespaces),
    exemptUsers: new Set(usernames),
    exemptRuntimeClasses: new Set(runtimeClasses),
  }
}

function checkNames(errors: FieldErrors, field: string, names: readonly string[], faultsOf: (name: string) => readonly string[]): void {
  const seen = new Set<string>()
  names.forEach((name, index) => {
    const path = `exemptions.${field}[${index}]`
    const faults = faultsOf(name)
    if (faults.length > 0) errors.push(invalid(path, name, faults.join(', ')))
    else if (seen.has(name)) errors.push(duplicate(path, name))
    seen.add(name)
  })
}
