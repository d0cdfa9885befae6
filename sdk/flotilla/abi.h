// The boundary between a host and a plugin, in plain C.
#ifndef FLOTILLA_ABI_H_
#define FLOTILLA_ABI_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A plugin is a shared object that exports one function, flotilla_plugin, which returns a
// descriptor that stays valid and unchanged for the rest of the process. Rules for everything
// below:
//
// - Every struct begins with its size and only grows at its end; a reader looks at no member beyond
//   the size it finds. flotilla_bytes and flotilla_cursor are the exceptions: they never change.
// - An array's stride is the size that its first element says.
// - Nothing is thrown across, in either direction.
// - Bytes handed over live until the call returns. Whoever wants to keep them copies them.
// - Parameters and results are one Cap'n Proto segment each: root pointer first, no segment table,
//   8-byte aligned, a multiple of 8 bytes long.
// - A machine is called by one thread at a time, not always the same. A capture is saved and
//   released on any thread, beside later calls of its machine, and may outlive it.

#define FLOTILLA_ABI_MAGIC UINT64_C(0x616c6c69746f6c66)  // "flotilla"
#define FLOTILLA_ABI_MAJOR 1u      // another major: not one struct can be relied upon
#define FLOTILLA_ABI_MINOR 3u      // a host takes its own minor and lower ones
#define FLOTILLA_SDK_VERSION 100u  // major * 10000 + minor * 100 + patch: 0.1.0

// Of what one event carries, and of what one command may emit, FLOTILLA_EVENT_COST for each counted
// in. Since ABI 1.2
#define FLOTILLA_TOPIC_BYTES_MAX 255u
#define FLOTILLA_MESSAGE_BYTES_MAX 65536u
#define FLOTILLA_EVENTS_MAX 256u
#define FLOTILLA_EVENTS_BYTES_MAX 1048576u
#define FLOTILLA_EVENT_COST 64u

// Bytes that belong to whoever hands them over.
typedef struct flotilla_bytes {
  const void* start;
  uint64_t size;
} flotilla_bytes;

// Which command is being carried out, in memory that survives the process. A machine's apply stores
// both before it begins with a command, so that a crash tells the host where it happened.
typedef struct flotilla_cursor {
  volatile uint64_t index;
  volatile uint64_t ordinal;
} flotilla_cursor;

enum { FLOTILLA_COMMAND = 0, FLOTILLA_QUERY = 1 };

// One row of the method table.
typedef struct flotilla_method {
  uint64_t size;
  uint64_t interfaceId;  // of the interface that declares the method, perhaps a base
  uint32_t method;       // its ordinal there
  uint32_t kind;         // FLOTILLA_COMMAND or FLOTILLA_QUERY
  const char* name;      // as the schema spells it
  uint64_t flags;        // FLOTILLA_FREES and such. Since ABI 1.2
} flotilla_method;

enum {
  FLOTILLA_FREES = 1,  // a command that makes the state smaller: taken past a quota of memory, too
  FLOTILLA_BESIDE = 2  // a query that may take long: asked of a frozen machine, see freeze
};

// The row of a command that nobody called: a timer of the machine's own has come due.
#define FLOTILLA_WAKE UINT32_MAX

// A command, or a query: then ordinal, term, seed and session are 0 and index is what was applied.
// One of row FLOTILLA_WAKE has a token and no params; its answer is heard by nobody.
typedef struct flotilla_command {
  uint32_t size;
  uint32_t row;  // of the method table
  uint64_t index;
  uint64_t ordinal;
  uint64_t term;
  int64_t timeUs;  // log time, microseconds since 1970
  uint64_t seed;   // the same on every replica
  uint64_t session;
  flotilla_bytes params;
  uint64_t token;  // of a timer: what wakeAt was given. Since ABI 1.1
} flotilla_command;

// Takes answers. `place` counts from 0 within the run; places are answered in order, each once.
typedef struct flotilla_answers {
  uint64_t size;
  void* context;
  void (*result)(void* context, uint64_t place, flotilla_bytes segment);
  void (*error)(void* context, uint64_t place, flotilla_bytes code, flotilla_bytes text);
  void (*fault)(void* context, flotilla_bytes text);  // of the first command that has no answer
  // Since ABI 1.1, for machines that say FLOTILLA_TIMERS. Before the command at `place` is
  // answered: a command of row FLOTILLA_WAKE with this token is to come once log time has reached
  // `timeUs`, exactly once, never earlier. Where the command ends with an error it does not. 0:
  // taken; else too many are pending in this group.
  int (*wakeAt)(void* context, uint64_t place, int64_t timeUs, uint64_t token);
  // Since ABI 1.2. Before the command at `place` is answered: tells those who listen to this group,
  // once the command has ended without an error. 0: taken; else the topic or the message is longer
  // than FLOTILLA_TOPIC_BYTES_MAX and FLOTILLA_MESSAGE_BYTES_MAX, the topic has a NUL, or the
  // command has told FLOTILLA_EVENTS_MAX or FLOTILLA_EVENTS_BYTES_MAX already.
  int (*emit)(void* context, uint64_t place, flotilla_bytes topic, flotilla_bytes message);
} flotilla_answers;

// Takes the reason why a call gave nothing. `code` is the author's, or empty for a fault.
typedef struct flotilla_reason {
  uint64_t size;
  void* context;
  void (*say)(void* context, flotilla_bytes code, flotilla_bytes text);
} flotilla_reason;

// Takes a snapshot's bytes. 0: go on; else stop, the host knows why.
typedef struct flotilla_writer {
  uint64_t size;
  void* context;
  int (*write)(void* context, flotilla_bytes piece);
} flotilla_writer;

// Gives a snapshot's bytes: up to `room` of them, 0 at the end, -1: stop, the host knows why.
typedef struct flotilla_reader {
  uint64_t size;
  void* context;
  int64_t (*read)(void* context, void* to, uint64_t room);
} flotilla_reader;

// What a machine may ask of its host. Outlives the machine.
typedef struct flotilla_host {
  uint64_t size;
  void* context;
  void (*log)(void* context, flotilla_bytes line);  // for people; never read back
} flotilla_host;

// Where a machine that says FLOTILLA_ON_DISK keeps its state: keys and values in order of their
// bytes, of this machine alone. What is set or erased is seen by the next call and gathered in
// memory; from time to time the host writes it all to disk in one atomic write, and says so by
// `sync` before. To be used within calls of its machine only, and within `query` not to be changed.
// Where a call gives -1 the host knows why: the machine returns with a fault. Since ABI 1.3.
#define FLOTILLA_STORAGE_KEY_MAX 65536u  // bytes; more is a fault
#define FLOTILLA_STORAGE_VALUE_MAX (16u * 1048576u)

typedef struct flotilla_storage {
  uint64_t size;
  void* context;
  // 1: `value` is there, until the next call; 0: no such key.
  int (*get)(void* context, flotilla_bytes key, flotilla_bytes* value);
  int (*set)(void* context, flotilla_bytes key, flotilla_bytes value);  // 0: done
  int (*erase)(void* context, flotilla_bytes key);                      // 0: done, or not there
  // Begins a walk at the first key that is not less than `from`; null as -1. What is changed while
  // it goes on it sees where it has not yet been. To be left before the call of the machine
  // returns.
  void* (*walk)(void* context, flotilla_bytes from);
  // 1: the next one, until the next call; 0: that was all.
  int (*next)(void* walk, flotilla_bytes* key, flotilla_bytes* value);
  void (*leave)(void* walk);
} flotilla_storage;

// One key of the group's configuration.
typedef struct flotilla_setting {
  uint64_t size;
  flotilla_bytes key;
  flotilla_bytes value;
} flotilla_setting;

enum {
  FLOTILLA_SNAPSHOT = 1,            // capture, save, release and load are there
  FLOTILLA_CONCURRENT_QUERIES = 2,  // freeze is there; since ABI 1.2, before it means nothing
  FLOTILLA_ON_DISK = 4,             // keeps its state in a storage; since ABI 1.3
  FLOTILLA_DIGEST = 8,              // digest is there
  FLOTILLA_TIMERS = 16              // apply takes commands of row FLOTILLA_WAKE; since ABI 1.1
};

typedef struct flotilla_descriptor {
  uint64_t size;
  uint64_t magic;         // FLOTILLA_ABI_MAGIC
  uint32_t abiMajor;      // FLOTILLA_ABI_MAJOR
  uint32_t abiMinor;      // FLOTILLA_ABI_MINOR
  uint32_t sdkVersion;    // FLOTILLA_SDK_VERSION
  uint32_t capnpVersion;  // CAPNP_VERSION; 0: does not use the library
  uint32_t cxx11Abi;      // _GLIBCXX_USE_CXX11_ABI; 0 in plain C
  uint32_t stateVersion;  // of what save writes
  const char* compiler;   // "gcc 12.2.0"; empty: plain C, cxx11Abi does not matter
  const char* name;       // as groups name it
  const char* version;    // MAJOR.MINOR.PATCH
  const char* problem;    // why this plugin must not be used; null: nothing is wrong
  uint64_t interfaceId;   // of the root interface
  const flotilla_method* methods;
  uint64_t methodCount;
  flotilla_bytes schema;  // a message with segment table: schema.capnp's CodeGeneratorRequest,
                          // `nodes` filled with the root interface and all that it needs
  flotilla_bytes configSchema;  // empty: any keys, the machine judges
  uint64_t abilities;

  // Null, with a reason, where there is no machine.
  void* (*create)(const flotilla_host* host, const flotilla_setting* settings, uint64_t count,
                  const flotilla_reason* reason);
  void (*destroy)(void* machine);
  // Carries out commands in order and returns how many have been answered: `count`, or fewer after
  // a fault, which has changed nothing beyond the answered ones.
  uint64_t (*apply)(void* machine, const flotilla_command* commands, uint64_t count,
                    const flotilla_answers* answers, flotilla_cursor* cursor);
  // 0: answered, at place 0; else a fault was said. Changes nothing.
  int (*query)(const void* machine, const flotilla_command* question,
               const flotilla_answers* answers);
  // The state as it is now, held still. Short. Null, with a reason, where that is not possible.
  void* (*capture)(void* machine, const flotilla_reason* reason);
  // 0: all written.
  int (*save)(const void* capture, const flotilla_writer* writer, const flotilla_reason* reason);
  void (*release)(void* capture);
  // 0: the machine is now in the saved state; else it can only be destroyed.
  int (*load)(void* machine, const flotilla_reader* reader, const flotilla_reason* reason);
  // Equal for equal states, whatever their history.
  uint64_t (*digest)(const void* machine);
  uint64_t (*memory)(const void* machine);  // bytes, roughly; 0: unknown
  // Since ABI 1.2. Another machine in the same state, held still: it is asked nothing but queries,
  // on any threads and several at once, beside later calls of the first one, which it may outlive,
  // and then destroyed. Short. Null, with a reason, where that is not possible.
  void* (*freeze)(void* machine, const flotilla_reason* reason);
  // Since ABI 1.3, for machines that say FLOTILLA_ON_DISK. The host captures, saves and loads what
  // is in their storage by itself: capture, save, release and load are not needed.
  // 0: the machine goes on from what lies in `storage`, which is empty for a new one and outlives
  // it. Comes before anything else, and again where the host has put another state there: then
  // nothing that the machine knows of before counts. Must not change what lies there.
  int (*open)(void* machine, const flotilla_storage* storage, const flotilla_reason* reason);
  // 0: all of the state that the machine holds in memory is in the storage now. Comes before each
  // write to disk, before a snapshot, and before another plugin's machine takes over.
  int (*sync)(void* machine, const flotilla_reason* reason);
} flotilla_descriptor;

// The one symbol.
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const flotilla_descriptor*
flotilla_plugin(void);

#ifdef __cplusplus
}
#endif

#endif  // FLOTILLA_ABI_H_
