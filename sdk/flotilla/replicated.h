// The members of a machine that the SDK snapshots, digests and puts back.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "flotilla/snapshot_stream.h"
#include "flotilla/stored.h"

namespace flotilla {

// A member's state held still.
// Thread: any, beside later changes of the member. Errors: save throws SnapshotStopped.
class MemberCapture {
public:
  virtual ~MemberCapture() = default;
  virtual void save(SnapshotWriter& out) const = 0;
};

class Members;
class Storage;

// Where a member keeps what it holds: in memory and in whole snapshots, on disk, or little enough
// to go with either.
enum class MemberHome : uint8_t { memory, disk, either };

// A member of a machine that takes care of its own snapshot, digest and undo: Table, DiskTable,
// Single, Fixed.
// It signs itself up with the machine that is being constructed on this thread, in the order of
// declaration, which is also its place in snapshots. Outside of a machine it works alone and undoes
// nothing.
//
// Owner:  the machine's class, as a direct data member. Neither copied nor moved.
// Thread: the machine's.
// Errors: load throws Error `snapshotDamaged`.
class Member {
public:
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  virtual void keep() = 0;  // the command is done; what it changed stays
  virtual void undo() = 0;  // the command has failed; all is as before it
  virtual void prefetchRun() {}
  virtual std::unique_ptr<MemberCapture> captureMember() const = 0;  // null: nothing to save
  virtual void load(SnapshotReader& in) = 0;
  // As `other`, the same member of another machine of the class; both stay free to change.
  virtual void share(const Member& other) = 0;
  virtual uint64_t digest() const = 0;
  virtual uint64_t memoryBytes() const = 0;
  virtual size_t bytesInMachine() const = 0;
  virtual MemberHome home() const { return MemberHome::either; }
  // Of a member on disk: its entries lie there, as those of the member with that number.
  virtual void attach(const Storage*, uint16_t) {}

  bool changed() const { return changed_; }

protected:
  inline Member();
  virtual ~Member() = default;

  bool undoes_ = false;       // changes are to be remembered until keep or undo
  bool changed_ = false;      // something is remembered
  uint64_t runCommands_ = 0;  // that are being prepared; 0 outside of that

private:
  friend class Members;
};

// All members of one machine.
//
// Owner:  Instance; outlives the machine's calls.
// Thread: the machine's.
// Errors: load throws Error `snapshotDamaged` or `otherState`.
class Members {
public:
  // While it lives, members constructed on this thread sign up with `members`.
  class Construction {
  public:
    explicit Construction(Members* members) : before_(current()) { current() = members; }
    ~Construction() { current() = before_; }
    Construction(const Construction&) = delete;
    Construction& operator=(const Construction&) = delete;

  private:
    Members* before_;
  };

  static Members*& current() {
    static thread_local Members* members = nullptr;
    return members;
  }

  void add(Member* member) { members_.push_back(member); }
  // The machine stands: from here on commands change it, and can be undone.
  void startUndoing() { setUndoing(true); }
  bool empty() const { return members_.empty(); }
  bool any(MemberHome home) const {
    for (const Member* member : members_) {
      if (member->home() == home) return true;
    }
    return false;
  }
  void attach(const Storage* storage) {
    uint16_t number = 0;
    for (Member* member : members_) member->attach(storage, number++);
  }

  void keep() {
    for (Member* member : members_) {
      if (member->changed_) member->keep();
    }
  }
  void undo() {
    for (Member* member : members_) {
      if (member->changed_) member->undo();
    }
  }
  // So many commands will be prepared next: whether to look ahead is worth it.
  void expect(uint64_t commands) {
    for (Member* member : members_) member->runCommands_ = commands;
  }
  void prefetchRun() {
    for (Member* member : members_) member->prefetchRun();
  }

  // The sum of the members' sizes, each rounded up to a word: what of a machine is taken care of.
  size_t bytesInMachine() const {
    size_t sum = 0;
    for (const Member* member : members_) sum += (member->bytesInMachine() + 7) / 8 * 8;
    return sum;
  }
  uint64_t memoryBytes() const {
    uint64_t sum = 0;
    for (const Member* member : members_) sum += member->memoryBytes();
    return sum;
  }
  uint64_t digest() const {
    uint64_t digest = 0;
    for (const Member* member : members_) digest = mixed(digest, member->digest());
    return digest;
  }

  std::vector<std::unique_ptr<MemberCapture>> capture() const {
    std::vector<std::unique_ptr<MemberCapture>> captures;
    for (const Member* member : members_) {
      if (auto capture = member->captureMember()) captures.push_back(std::move(capture));
    }
    return captures;
  }
  // `in` as the captures, saved in order, wrote it. Members that are not captured stay as they are.
  void load(SnapshotReader& in) {
    fill([&] {
      for (Member* member : members_) member->load(in);
    });
  }
  // As `load`, of what a version may have written that had fewer members: those that it did not
  // have stay as they are.
  void loadFirst(SnapshotReader& in) {
    fill([&] {
      for (Member* member : members_) {
        if (in.atEnd()) return;
        member->load(in);
      }
    });
  }
  // As another machine's of the same class.
  void share(const Members& other) {
    if (members_.size() != other.members_.size()) {
      throw std::logic_error("two machines of one class have other members");
    }
    for (size_t i = 0; i < members_.size(); ++i) members_[i]->share(*other.members_[i]);
  }
  // What `change` does to the members is no command's work: there is nothing to undo.
  template <typename Change>
  void fill(Change&& change) {
    setUndoing(false);
    change();
    setUndoing(true);
  }

private:
  void setUndoing(bool undoes) {
    for (Member* member : members_) member->undoes_ = undoes;
  }

  std::vector<Member*> members_;
};

inline Member::Member() {
  if (Members* members = Members::current()) members->add(this);
}

}  // namespace flotilla
