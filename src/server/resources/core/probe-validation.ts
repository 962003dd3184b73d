/** Rules of probes and lifecycle handlers. */
import type { Lifecycle, LifecycleHandler, Probe } from '../../../api/generated/core/v1.ts'
import { httpHeaderNameFaults } from '../../../api/names.ts'
import { checkNotNegative, checkOneOf, forbidden, invalid, required, type FieldErrors } from '../rules.ts'
import { validatePortNumberOrName } from './service-validation.ts'

type Handler = Pick<Probe, 'exec' | 'httpGet' | 'tcpSocket' | 'grpc'> & Pick<LifecycleHandler, 'sleep'>

const HANDLERS = ['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'] as const
const SCHEMES = ['HTTP', 'HTTPS']

function validateHandler(errors: FieldErrors, path: string, handler: Handler, graceSeconds: number | undefined): void {
  const [first, ...others] = HANDLERS.filter((name) => handler[name] !== undefined)
  if (first === undefined) errors.push(required(path, 'must specify a handler type'))
  else validateAction(errors, `${path}.${first}`, first, handler, graceSeconds)
  for (const other of others) errors.push(forbidden(`${path}.${other}`, 'may not specify more than 1 handler type'))
}

function validateAction(
  errors: FieldErrors,
  path: string,
  name: (typeof HANDLERS)[number],
  handler: Handler,
  graceSeconds: number | undefined,
): void {
  if (name === 'exec' && !handler.exec?.command?.length) errors.push(required(`${path}.command`))
  if (name === 'httpGet' && handler.httpGet) {
    if (!handler.httpGet.path) errors.push(required(`${path}.path`))
    validatePortNumberOrName(errors, `${path}.port`, handler.httpGet.port)
    checkOneOf(errors, `${path}.scheme`, handler.httpGet.scheme, SCHEMES)
    for (const { name: header } of handler.httpGet.httpHeaders ?? []) {
      for (const fault of httpHeaderNameFaults(header ?? '')) errors.push(invalid(`${path}.httpHeaders`, header ?? '', fault))
    }
  }
  if (name === 'tcpSocket') validatePortNumberOrName(errors, `${path}.port`, handler.tcpSocket?.port)
  if (name === 'grpc') validatePortNumberOrName(errors, `${path}.port`, handler.grpc?.port)
  const seconds = handler.sleep?.seconds ?? 0
  if (name === 'sleep' && graceSeconds !== undefined && (seconds < 0 || seconds > graceSeconds)) {
    errors.push(invalid(path, seconds, `must be non-negative and less than terminationGracePeriodSeconds (${graceSeconds})`))
  }
}

export function validateProbe(
  errors: FieldErrors,
  path: string,
  probe: Probe | undefined,
  kind: 'liveness' | 'readiness' | 'startup',
  graceSeconds: number | undefined,
): void {
  if (!probe) return
  validateHandler(errors, path, probe, graceSeconds)
  for (const field of ['initialDelaySeconds', 'timeoutSeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'] as const) {
    checkNotNegative(errors, `${path}.${field}`, probe[field])
  }
  const grace = probe.terminationGracePeriodSeconds
  if (grace !== undefined && grace <= 0) errors.push(invalid(`${path}.terminationGracePeriodSeconds`, grace, 'must be greater than 0'))
  if (kind === 'readiness') {
    if (grace !== undefined) errors.push(invalid(`${path}.terminationGracePeriodSeconds`, grace, 'must not be set for readinessProbes'))
  } else if (probe.successThreshold !== 1) errors.push(invalid(`${path}.successThreshold`, probe.successThreshold ?? 0, 'must be 1'))
}

export function validateLifecycle(
  errors: FieldErrors,
  path: string,
  lifecycle: Lifecycle | undefined,
  graceSeconds: number | undefined,
): void {
  if (!lifecycle) return
  if (lifecycle.postStart) validateHandler(errors, `${path}.postStart`, lifecycle.postStart, graceSeconds)
  if (lifecycle.preStop) validateHandler(errors, `${path}.preStop`, lifecycle.preStop, graceSeconds)
}
