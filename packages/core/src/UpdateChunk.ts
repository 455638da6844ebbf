/**
 * The chunks of an update log. `UpdateLog` exports them.
 *
 * @since 0.1.0
 */

/**
 * Updates of a run that were appended together.
 *
 * **Details**
 *
 * | field | meaning |
 * | --- | --- |
 * | `from` | the offset of the first update: the number of updates of the run before it |
 * | `count` | the number of updates; 0 if the chunk only says whether the run has ended |
 * | `epoch` | the fence of the lease under which the chunk was written |
 * | `ended` | whether the run has ended with this chunk, as far as the writer knows |
 * | `body` | the updates, and the position of the writer after them, as text. A log does not interpret it |
 *
 * @since 0.1.0
 * @category models
 */
export interface Chunk {
  readonly from: number
  readonly count: number
  readonly epoch: number
  readonly ended: boolean
  readonly body: string
}
