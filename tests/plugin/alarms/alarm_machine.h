// Alarms that ring once log time has come to them: a machine with timers, for several tests.
#pragma once

#include <algorithm>
#include <flotilla/plugin.h>

#include "alarms.capnp.h"

namespace flotilla::test {

// `TableOf`: flotilla::Table or flotilla::DiskTable.
template <template <typename, typename> typename TableOf>
class AlarmMachineOf {
public:
  static constexpr uint32_t kManyMax = 1000;
  static constexpr int64_t kInUsMax = 1'000'000'000'000;

  void set(const flotilla::Entry& entry, Alarms::SetParams::Reader in,
           Alarms::SetResults::Builder out) {
    checkTime(in.getInUs());
    Alarm alarm{entry.timeUs() + in.getInUs(), in.getInUs(), in.getAgain(),
                in.getFails() == Fails::RINGING ? 1U : 0U};
    add(entry, in.getAlarm(), alarm);
    tell(entry, "alarms/set", in.getAlarm());
    if (in.getFails() == Fails::SETTING) throw flotilla::Error("asked", "as it was asked to");
    out.setDueUs(alarm.dueUs);
  }

  void setMany(const flotilla::Entry& entry, Alarms::SetManyParams::Reader in,
               Alarms::SetManyResults::Builder out) {
    if (in.getCount() > kManyMax) throw flotilla::Error("tooMany", "at most 1000 at once");
    checkTime(in.getInUs());
    checkTime(in.getEveryUs());
    int64_t dueUs = entry.timeUs() + in.getInUs();
    for (uint32_t i = 0; i < in.getCount(); ++i, dueUs += in.getEveryUs()) {
      add(entry, in.getFirst() + i, {dueUs, 0, 0, 0});
    }
    out.setLastUs(dueUs - in.getEveryUs());
  }

  void wake(const flotilla::Entry& entry, uint64_t token) {
    auto found = pending_.find(token);
    if (!found) return twice_.set(*twice_ + 1);
    Alarm alarm = *found;
    pending_.erase(token);
    rung_.set(*rung_ + 1);
    if (entry.timeUs() < alarm.dueUs) early_.set(*early_ + 1);
    tell(entry, "alarms/rung", token);
    lateUsMax_.set(std::max(*lateUsMax_, entry.timeUs() - alarm.dueUs));
    if (alarm.fails != 0) {
      entry.wakeAt(entry.timeUs(), token);
      throw flotilla::Error("asked", "as it was asked to");
    }
    if (alarm.again == 0) return;
    add(entry, token, {entry.timeUs() + alarm.inUs, alarm.inUs, alarm.again - 1, 0});
  }

  void tally(const flotilla::View& view, Alarms::TallyParams::Reader,
             Alarms::TallyResults::Builder out) const {
    out.setPending(pending_.size());
    out.setRung(*rung_);
    out.setTwice(*twice_);
    out.setEarly(*early_);
    out.setLateUsMax(*lateUsMax_);
    out.setTimeUs(view.timeUs());
  }

private:
  struct Alarm {
    int64_t dueUs = 0;
    int64_t inUs = 0;
    uint32_t again = 0;
    uint32_t fails = 0;
  };

  static void checkTime(int64_t us) {
    if (us < 0 || us > kInUsMax) throw flotilla::Error("badTime", "not within eleven days");
  }
  static void tell(const flotilla::Entry& entry, std::string_view topic, uint64_t name) {
    entry.emit(topic, {reinterpret_cast<const char*>(&name), sizeof name});
  }
  void add(const flotilla::Entry& entry, uint64_t name, Alarm alarm) {
    pending_.set(name, alarm);
    entry.wakeAt(alarm.dueUs, name);
  }

  TableOf<uint64_t, Alarm> pending_;
  flotilla::Single<uint64_t> rung_;
  flotilla::Single<uint64_t> twice_;
  flotilla::Single<uint64_t> early_;
  flotilla::Single<int64_t> lateUsMax_;
};

using AlarmMachine = AlarmMachineOf<flotilla::Table>;

}  // namespace flotilla::test
