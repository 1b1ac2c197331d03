/* Signs of life. Whoever gets on with the work beats: the team with each task, readers and writers with each piece, and
 * whoever waits for other ranks. A watcher (comm/watchdog.h) takes a rank whose heart has stood still for long as
 * stuck. And in between, the main thread attends to messages: what that means is hooked in from above. */
#ifndef IVF_BASE_PULSE_H
#define IVF_BASE_PULSE_H

#include <pthread.h>
#include <stdint.h>

/* Local, any thread. Some work was done; how often that was said so far. */
void ivf_pulse_beat(void);
uint64_t ivf_pulse_beats(void);

/* Local. What the run is at ("assign"): static storage. "start" before the first phase. */
void ivf_pulse_enter(const char *phase);
const char *ivf_pulse_phase(void);

/* Local. What the main thread, the calling one, does when it attends; NULL: nothing. It is called often, so it decides
 * itself when it is due. Returns what it did before. */
typedef void ivf_pulse_function(void);
ivf_pulse_function *ivf_pulse_hook(ivf_pulse_function *attend);

/* Local. Attends, on the main thread; does nothing on others. */
void ivf_pulse_attend(void);

/* Local. Waits for a condition, a fiftieth of a second at most, and attends with the lock given back. The condition has
 * been made by ivf_pulse_cond. It may hold or not afterwards, so this is called in a loop. */
void ivf_pulse_cond(pthread_cond_t *condition);
void ivf_pulse_wait(pthread_cond_t *condition, pthread_mutex_t *lock);

#endif
