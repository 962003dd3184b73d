/**
 * The environment of a container: variables of services, then envFrom, then env, the later ones winning and able to refer to
 * the earlier by `$(NAME)`. Pure: what it refers to is looked up by the caller beforehand.
 */
import type { ConfigMap, Container, EnvVarSource, Pod, Secret, Service } from '../api/generated/core/v1.ts'
import { fieldValue, resourceValue, type DownwardContext } from './downward.ts'
import { expand } from './expansion.ts'

/** Something the container refers to is not there: it waits with CreateContainerConfigError. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError'
}

export interface EnvironmentInput extends DownwardContext {
  readonly container: Container
  readonly services: Iterable<Service>
  /** Undefined when it does not exist. */
  configMap(name: string): ConfigMap | undefined
  secret(name: string): Secret | undefined
}

const KUBERNETES_SERVICE = 'kubernetes'

const variableName = (name: string): string => name.replaceAll('-', '_').toUpperCase()

const joinHostPort = (host: string, port: number): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)

/** Variables as Docker links made them, and upstream since. */
export function serviceVariables(services: Iterable<Service>): Record<string, string> {
  const env: Record<string, string> = {}
  for (const service of services) {
    const ip = service.spec?.clusterIP
    const ports = service.spec?.ports ?? []
    const [first] = ports
    if (!ip || ip === 'None' || !first) continue
    const name = variableName(service.metadata?.name ?? '')
    env[`${name}_SERVICE_HOST`] = ip
    env[`${name}_SERVICE_PORT`] = String(first.port)
    for (const port of ports) if (port.name) env[`${name}_SERVICE_PORT_${variableName(port.name)}`] = String(port.port)
    for (const port of ports) {
      const protocol = port.protocol ?? 'TCP'
      const url = `${protocol.toLowerCase()}://${joinHostPort(ip, port.port)}`
      if (port === first) env[`${name}_PORT`] = url
      const prefix = `${name}_PORT_${port.port}_${protocol.toUpperCase()}`
      env[prefix] = url
      env[`${prefix}_PROTO`] = protocol.toLowerCase()
      env[`${prefix}_PORT`] = String(port.port)
      env[`${prefix}_ADDR`] = ip
    }
  }
  return env
}

/** Those of the pod's namespace when it wants them, and always the API server's. */
function* linkedServices(pod: Pod, services: Iterable<Service>): Generator<Service> {
  const wants = pod.spec?.enableServiceLinks !== false
  for (const service of services) {
    const { namespace, name } = service.metadata ?? {}
    if (namespace === 'default' && name === KUBERNETES_SERVICE) yield service
    else if (wants && namespace === pod.metadata?.namespace && name !== KUBERNETES_SERVICE) yield service
  }
}

const decoder = new TextDecoder()

/** Secrets hold base64. */
export const decodeBase64 = (text: string): Uint8Array => Uint8Array.from(atob(text), (character) => character.charCodeAt(0))

export function environmentOf(input: EnvironmentInput): Record<string, string> {
  const { pod, container } = input
  const fromServices = serviceVariables(linkedServices(pod, input.services))
  const env: Record<string, string> = {}
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef) {
      const found = input.configMap(configMapRef.name ?? '')
      if (!found && !configMapRef.optional) throw new ConfigurationError(`configmap "${configMapRef.name}" not found`)
      for (const [key, value] of Object.entries(found?.data ?? {})) env[prefix + key] = value
    }
    if (secretRef) {
      const found = input.secret(secretRef.name ?? '')
      if (!found && !secretRef.optional) throw new ConfigurationError(`secret "${secretRef.name}" not found`)
      for (const [key, value] of Object.entries(found?.data ?? {})) env[prefix + key] = decoder.decode(decodeBase64(value))
    }
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    const result = value
      ? expand(value, (variable) => env[variable] ?? fromServices[variable])
      : valueFrom
        ? sourcedValue(valueFrom, input)
        : ''
    if (result !== undefined) env[name] = result
  }
  return { ...fromServices, ...env }
}

/** Undefined for an optional reference to nothing. */
function sourcedValue(source: EnvVarSource, input: EnvironmentInput): string | undefined {
  const namespace = input.pod.metadata?.namespace
  if (source.fieldRef) {
    const value = fieldValue(source.fieldRef, input)
    if (value === undefined) throw new ConfigurationError(`unsupported fieldPath: ${source.fieldRef.fieldPath}`)
    return value
  }
  if (source.resourceFieldRef) {
    const { containerName } = source.resourceFieldRef
    const all = [...(input.pod.spec?.containers ?? []), ...(input.pod.spec?.initContainers ?? [])]
    const target = containerName ? all.find((other) => other.name === containerName) : input.container
    if (!target) throw new ConfigurationError(`container ${containerName} not found`)
    return resourceValue(source.resourceFieldRef, target, input)
  }
  if (source.configMapKeyRef) {
    const { name = '', key, optional } = source.configMapKeyRef
    const found = input.configMap(name)
    if (!found && !optional) throw new ConfigurationError(`configmap "${name}" not found`)
    const value = found?.data?.[key]
    if (value === undefined && !optional) throw new ConfigurationError(`couldn't find key ${key} in ConfigMap ${namespace}/${name}`)
    return value
  }
  if (source.secretKeyRef) {
    const { name = '', key, optional } = source.secretKeyRef
    const found = input.secret(name)
    if (!found && !optional) throw new ConfigurationError(`secret "${name}" not found`)
    const value = found?.data?.[key]
    if (value === undefined && !optional) throw new ConfigurationError(`couldn't find key ${key} in Secret ${namespace}/${name}`)
    return value === undefined ? undefined : decoder.decode(decodeBase64(value))
  }
  throw new ConfigurationError('fileKeyRef is not supported by this node')
}
