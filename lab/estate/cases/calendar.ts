/** Cases about the calendar: what the phone shows must be what the job does. */
import { editConfig, rowOf } from '../config-edits.js'
import type { HurtCase } from './types.js'

export const CALENDAR_CASES: readonly HurtCase[] = [
  {
    name: 'I15',
    title: 'The weekly event has lost its day',
    what: 'the event of the weekly Sunday job has no byday, so that it would fall on the weekday of dtstart_date, a Tuesday',
    async hurt(_lab, surgery) {
      surgery.config('calendar.yaml', (folder) =>
        editConfig(folder, 'calendar.yaml', (document) => void rowOf(document, 'events', 'id', 'vzdump-home-p2-weekly').delete('byday')),
      )
    },
    expect: [
      { kind: 'finding', ids: ['*vzdump-home-p2-weekly*', '*backup-home-p2-weekly*'], messageIncludes: ['sun'] },
      { kind: 'finding', ids: ['*/monitor/runbooks'], reason: 'runbooks_doubtful', severity: 'warning', messageIncludes: ['byday'] },
    ],
    verdict: 'warning',
  },
]
