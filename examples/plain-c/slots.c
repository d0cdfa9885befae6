// A plugin in C against abi.h alone: neither C++ nor Cap'n Proto's library, for those who come with
// another language.
#include <flotilla/abi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { kSlots = 64, kWord = 8 };

#define SLOTS_ID UINT64_C(0xc90209d8c79a2ec8)  // as slots.capnp says

// What `capnp compile -o-` says of slots.capnp, from slots_schema.cmake.
static const _Alignas(kWord) unsigned char schema[] = {
#include <slots_schema.inc>
};

typedef struct Slots {
  uint64_t values[kSlots];
} Slots;

static flotilla_bytes text(const char* string) {
  return (flotilla_bytes){string, strlen(string)};
}

// ---- Cap'n Proto by hand: one segment, its root pointer first, little-endian as this machine is

// A struct's data section, within the segment. A null pointer is a struct of defaults.
typedef struct Section {
  const unsigned char* start;
  uint64_t size;
} Section;

// False where the pointer leads out of the segment or is none to a struct.
static bool rootOf(flotilla_bytes segment, Section* out) {
  const unsigned char* bytes = segment.start;
  uint64_t pointer = 0;
  *out = (Section){NULL, 0};
  if (segment.size < kWord) return segment.size == 0;
  memcpy(&pointer, bytes, sizeof pointer);
  if (pointer == 0) return true;
  if ((pointer & 3) != 0) return false;
  int64_t offset = (int32_t)(uint32_t)pointer >> 2;  // in words, from the pointer's end
  uint64_t dataWords = (pointer >> 32) & 0xffff;
  uint64_t words = segment.size / kWord;
  if (offset < 0 || (uint64_t)offset + 1 + dataWords > words) return false;
  *out = (Section){bytes + ((uint64_t)offset + 1) * kWord, dataWords * kWord};
  return true;
}

// A field of `size` bytes, 0 where the sender's struct was too short to have it.
static uint64_t field(Section section, uint64_t at, uint64_t size) {
  uint64_t value = 0;
  if (at + size <= section.size) memcpy(&value, section.start + at, size);
  return value;
}

static void answerValue(const flotilla_answers* answers, uint64_t place, uint64_t value) {
  uint64_t words[2] = {UINT64_C(1) << 32, value};  // a struct of one data word, right behind
  answers->result(answers->context, place, (flotilla_bytes){words, sizeof words});
}

// The slot that the parameters name, or null after an error has been answered.
static uint64_t* slotOf(Slots* slots, flotilla_bytes params, Section* section,
                        const flotilla_answers* answers, uint64_t place) {
  if (!rootOf(params, section)) {
    answers->error(answers->context, place, text("badParams"), text("no struct of this schema"));
    return NULL;
  }
  uint64_t slot = field(*section, 0, 1);
  if (slot < kSlots) return &slots->values[slot];
  answers->error(answers->context, place, text("noSuchSlot"), text("slots are 0 to 63"));
  return NULL;
}

// ---- the machine

static void* create(const flotilla_host* host, const flotilla_setting* settings, uint64_t count,
                    const flotilla_reason* reason) {
  (void)host;
  (void)settings;
  if (count > 0) {
    reason->say(reason->context, text("badConfig"), text("slots have no settings"));
    return NULL;
  }
  Slots* slots = calloc(1, sizeof *slots);
  if (slots == NULL) reason->say(reason->context, text(""), text("no memory"));
  return slots;
}

static void destroy(void* machine) {
  free(machine);
}

// Rows of `methods` below: there is one command, so each of these is an add.
static uint64_t apply(void* machine, const flotilla_command* commands, uint64_t count,
                      const flotilla_answers* answers, flotilla_cursor* cursor) {
  const unsigned char* at = (const unsigned char*)commands;
  for (uint64_t place = 0; place < count; ++place, at += commands->size) {
    const flotilla_command* command = (const flotilla_command*)(const void*)at;
    if (cursor != NULL) {
      cursor->index = command->index;
      cursor->ordinal = command->ordinal;
    }
    Section params;
    uint64_t* slot = slotOf(machine, command->params, &params, answers, place);
    if (slot == NULL) continue;
    *slot += field(params, kWord, sizeof(uint64_t));
    answerValue(answers, place, *slot);
  }
  return count;
}

static int query(const void* machine, const flotilla_command* question,
                 const flotilla_answers* answers) {
  Slots copy = *(const Slots*)machine;
  Section params;
  const uint64_t* slot = slotOf(&copy, question->params, &params, answers, 0);
  if (slot != NULL) answerValue(answers, 0, *slot);
  return 0;
}

// ---- its snapshot: a copy, written as it lies

static void* capture(void* machine, const flotilla_reason* reason) {
  Slots* copy = malloc(sizeof *copy);
  if (copy == NULL) {
    reason->say(reason->context, text(""), text("no memory"));
    return NULL;
  }
  *copy = *(const Slots*)machine;
  return copy;
}

static int save(const void* captured, const flotilla_writer* writer,
                const flotilla_reason* reason) {
  (void)reason;
  return writer->write(writer->context, (flotilla_bytes){captured, sizeof(Slots)});
}

static int load(void* machine, const flotilla_reader* reader, const flotilla_reason* reason) {
  size_t got = 0;
  unsigned char more = 0;
  while (got < sizeof(Slots)) {
    int64_t part =
        reader->read(reader->context, (unsigned char*)machine + got, sizeof(Slots) - got);
    if (part < 0) return 1;  // the host knows why
    if (part == 0) break;
    got += (size_t)part;
  }
  if (got == sizeof(Slots) && reader->read(reader->context, &more, 1) == 0) return 0;
  reason->say(reason->context, text("snapshotDamaged"), text("needs 512 bytes"));
  return 1;
}

// Equal for equal states: FNV-1a over the numbers.
static uint64_t digest(const void* machine) {
  const unsigned char* bytes = machine;
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < sizeof(Slots); ++i) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
  return hash;
}

static uint64_t memory(const void* machine) {
  (void)machine;
  return sizeof(Slots);
}

// ---- what it says of itself

static const flotilla_method methods[] = {
    {sizeof(flotilla_method), SLOTS_ID, 0, FLOTILLA_COMMAND, "add", 0},
    {sizeof(flotilla_method), SLOTS_ID, 1, FLOTILLA_QUERY, "read", 0},
};

const flotilla_descriptor* flotilla_plugin(void) {
  static const flotilla_descriptor descriptor = {
      .size = sizeof(flotilla_descriptor),
      .magic = FLOTILLA_ABI_MAGIC,
      .abiMajor = FLOTILLA_ABI_MAJOR,
      .abiMinor = FLOTILLA_ABI_MINOR,
      .sdkVersion = FLOTILLA_SDK_VERSION,
      .capnpVersion = 0,  // none is linked
      .stateVersion = 1,
      .compiler = "",  // plain C
      .name = "slots",
      .version = "1.0.0",
      .interfaceId = SLOTS_ID,
      .methods = methods,
      .methodCount = sizeof methods / sizeof methods[0],
      .schema = {schema, sizeof schema},
      .abilities = FLOTILLA_SNAPSHOT | FLOTILLA_DIGEST,
      .create = create,
      .destroy = destroy,
      .apply = apply,
      .query = query,
      .capture = capture,
      .save = save,
      .release = free,
      .load = load,
      .digest = digest,
      .memory = memory,
  };
  return &descriptor;
}
