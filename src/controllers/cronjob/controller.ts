/** Makes Jobs by the clock. The name of a Job is its time, so that none is made twice, whoever is killed when. */
import type { CronJob, CronJobStatus, Job } from '../../api/generated/batch/v1.ts'
import { keyOf, parseKey } from '../../api/object.ts'
import { isApiError } from '../../api/status.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { controllerReference, referenceTo } from '../../client/object-reference.ts'
import { watch } from '../controller.ts'
import type { Change, Controller, ReconcileContext } from '../controller.ts'
import { byControllerOrOrphan, CONTROLLER_INDEX, controllerOf, isControlledBy } from '../owner-references.ts'
import { isNamespaceTerminating, messageOf } from '../pods/pod-control.ts'
import { afterStartMs, isActive, jobNameOf, planStart, planStock, withoutActive } from './plan.ts'
import type { Event, StartPlan } from './plan.ts'

const KIND = 'batch/v1/CronJob'
const JOB = 'batch/v1/Job'
const SCHEDULED_AT = 'batch.kubernetes.io/cronjob-scheduled-timestamp'

function keysOfJob({ object, old }: Change<Job>): readonly string[] {
  const owners = [controllerOf(object), old && controllerOf(old)].filter((owner) => owner?.kind === 'CronJob')
  return [...new Set(owners.map((owner) => `${object.metadata?.namespace}/${owner!.name}`))]
}

export const cronJobController: Controller = {
  name: 'cronjob',
  component: 'cronjob-controller',
  reads: [KIND, JOB],
  writes: ['batch/v1/CronJob/status', JOB],
  watches: [
    watch(KIND, ({ type, object }) => (type === 'deleted' ? undefined : keyOf(object))),
    watch(JOB, keysOfJob, { [CONTROLLER_INDEX]: byControllerOrOrphan }),
  ],

  async reconcile(key, context) {
    const { caches, client, runtime } = context
    const cronJob = caches.of(KIND).get(key)
    if (!cronJob) return
    const round = createRound(context, cronJob)
    const stock = planStock(cronJob, caches.of(JOB).byIndex(CONTROLLER_INDEX, cronJob.metadata!.uid!))
    round.tell(stock.events)
    let { status } = stock
    for (const job of stock.expired) if (await round.remove(job)) status = withoutActive(status, job.metadata!.uid)
    for (const { uid, name } of stock.unseen) {
      if (await round.find(name!)) continue
      round.tell([['Normal', 'MissingJob', `Active job went missing: ${name}`]])
      status = withoutActive(status, uid)
    }
    const start = planStart({ ...cronJob, status }, runtime.clock.now())
    round.tell(start.events)
    const started = start.scheduledMs === undefined ? { status, error: undefined } : await round.start(start, status)
    if (!deepEqual(started.status, cronJob.status ?? {}))
      await client.update(KIND, { ...cronJob, status: started.status }, { subresource: 'status' })
    if (started.error !== undefined) throw started.error
    const isStarted = start.scheduledMs !== undefined && started.status.lastScheduleTime !== undefined
    return { afterMs: isStarted ? afterStartMs(cronJob, started.status.lastScheduleTime, runtime.clock.now()) : start.afterMs }
  },
}

/** What one look at a CronJob does to its Jobs, with the events that tell of it. */
function createRound({ client, events }: Pick<ReconcileContext, 'client' | 'events'>, cronJob: CronJob) {
  const reference = referenceTo(KIND, cronJob)
  const { namespace } = parseKey(keyOf(cronJob))

  const tell = (list: readonly Event[]): void => {
    for (const event of list) events.record(reference, ...event)
  }

  async function find(name: string): Promise<Job | undefined> {
    try {
      return await client.get(JOB, { namespace, name })
    } catch (error) {
      if (isApiError(error, 'NotFound')) return undefined
      throw error
    }
  }

  async function remove({ metadata }: Job): Promise<boolean> {
    const { name, uid } = metadata!
    try {
      await client.delete(JOB, { namespace, name: name! }, { propagationPolicy: 'Background', preconditions: { uid: uid! } })
      tell([['Normal', 'SuccessfulDelete', `Deleted job ${name}`]])
      return true
    } catch (error) {
      tell([['Warning', 'FailedDelete', `Deleted job: ${messageOf(error)}`]])
      return isApiError(error, 'NotFound')
    }
  }

  /** What was done so far is in the status also when something goes wrong. */
  async function start(plan: StartPlan, before: CronJobStatus): Promise<{ readonly status: CronJobStatus; readonly error: unknown }> {
    let status = before
    for (const { name, uid } of plan.replace ?? []) {
      const job = await find(name!)
      if (job && !(await remove(job))) return { status, error: new Error(`could not replace job ${namespace}/${name}`) }
      status = withoutActive(status, uid)
    }
    try {
      const job = await make(plan)
      if (!job || isActive(status, job.metadata!.uid)) return { status, error: undefined }
      const lastScheduleTime = new Date(plan.scheduledMs!).toISOString().replace('.000Z', 'Z')
      return { status: { ...status, active: [...(status.active ?? []), referenceTo(JOB, job)], lastScheduleTime }, error: undefined }
    } catch (error) {
      return { status, error }
    }
  }

  /** Undefined when the Job is there and somebody else's. */
  async function make({ scheduledMs, scheduledTimestamp }: StartPlan): Promise<Job | undefined> {
    const template = cronJob.spec.jobTemplate
    const name = jobNameOf(cronJob, scheduledMs!)
    try {
      const job = await client.create(JOB, {
        metadata: {
          namespace: namespace!,
          name,
          ...(template.metadata?.labels ? { labels: template.metadata.labels } : {}),
          annotations: { ...template.metadata?.annotations, [SCHEDULED_AT]: scheduledTimestamp! },
          ownerReferences: [controllerReference(KIND, cronJob)],
        },
        ...(template.spec ? { spec: template.spec } : {}),
      })
      tell([['Normal', 'SuccessfulCreate', `Created job ${name}`]])
      return job
    } catch (error) {
      if (!isApiError(error, 'AlreadyExists')) {
        if (!isNamespaceTerminating(error)) tell([['Warning', 'FailedCreate', `Error creating job: ${messageOf(error)}`]])
        throw error
      }
      const job = await find(name)
      return job && isControlledBy(job, cronJob) ? job : undefined
    }
  }

  return { tell, find, remove, start }
}
