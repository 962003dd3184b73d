/**
 * What the agent does for the node from time to time, whatever its pods do: rotates logs. Each task has its own rhythm, and one that
 * fails is told and tried again at its next turn.
 */
import { sleep } from '../base/clock.ts'
import { durationMs } from './configuration.ts'
import { rotateLog } from './log-rotation.ts'
import type { NodeContext } from './node-context.ts'
import { isMissing } from './pod-observer.ts'
import type { PodWorker } from './pod-worker.ts'

export interface Upkeep {
  run(signal: AbortSignal): Promise<void>
}

export function createUpkeep(node: NodeContext, workers: ReadonlyMap<string, PodWorker>): Upkeep {
  const { clock, log } = node.runtime

  async function every(intervalMs: number, what: string, task: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await sleep(clock, intervalMs, signal)
        await task()
      } catch (error) {
        if (signal.aborted) return
        log.warn('node upkeep failed', { what, error: String(error) })
      }
    }
  }

  async function rotateLogs(reopen: (id: string) => Promise<void>): Promise<void> {
    for (const worker of workers.values()) {
      for (const { id, state, logPath } of worker.observed.containers) {
        if (state !== 'RUNNING' || logPath === '') continue
        try {
          await rotateLog({ clock, host: node.host, configuration: node.configuration, reopen }, id, logPath)
        } catch (error) {
          if (!isMissing(error)) log.warn('log not rotated', { path: logPath, error: String(error) })
        }
      }
    }
  }

  return {
    async run(signal) {
      const { configuration, containers } = node
      const tasks: Promise<void>[] = []
      if (containers.reopenContainerLog) {
        const reopen = (id: string) => containers.reopenContainerLog!(id)
        tasks.push(every(durationMs(configuration.containerLogMonitorInterval), 'logs', () => rotateLogs(reopen), signal))
      }
      await Promise.all(tasks)
    },
  }
}
