/**
 * How a remote command says how it ended: a Status on its error channel (protocol v4 and later), or just a text when it failed
 * (before v4). The words are upstream's (k8s.io/cri-streaming), clients take the exit code from the cause.
 */
import type { Status } from '../api/generated/meta/v1.ts'
import type { ExecOutcome } from '../api/node-service.ts'

const FAILED_PHRASE = { exec: 'error executing command in container', attach: 'error attaching to container' } as const

export function statusOf(kind: 'exec' | 'attach', outcome: ExecOutcome): Status {
  if ('error' in outcome) {
    return {
      metadata: {},
      status: 'Failure',
      message: `Internal error occurred: ${FAILED_PHRASE[kind]}: ${outcome.error}`,
      reason: 'InternalError',
      code: 500,
    }
  }
  if (outcome.exitCode === 0) return { metadata: {}, status: 'Success' }
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit code ${outcome.exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(outcome.exitCode) }] },
  }
}

/** The bytes for the error channel; undefined where an old protocol says nothing on success. */
export function outcomeBytes(kind: 'exec' | 'attach', outcome: ExecOutcome, hasStatus: boolean): Buffer | undefined {
  const status = statusOf(kind, outcome)
  if (hasStatus) return Buffer.from(JSON.stringify(status))
  return status.status === 'Success' ? undefined : Buffer.from(status.message ?? '')
}
