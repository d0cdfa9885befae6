// Calls that travel together.
#include "sdk/client/batch.h"

#include <algorithm>
#include <iterator>

namespace flotilla::client {
namespace {

// Words of a command beside its parameters, in a request: struct, pointers, stamp.
constexpr size_t kCommandWords = 10;

kj::ArrayPtr<const kj::byte> paramsOf(const Batch& batch, const Call& call) {
  return kj::arrayPtr(batch.params.data() + call.firstByte, call.byteCount);
}

capnp::MessageSize sizeOf(const Batch& batch) {
  return {batch.wireWords() + 16, 0};
}

template <typename Results>
std::vector<Outcome> outcomes(capnp::Response<Results>&& response) {
  auto held = std::make_shared<capnp::Response<Results>>(kj::mv(response));
  std::vector<Outcome> out;
  auto from = held->getOutcomes();
  out.reserve(from.size());
  auto keep = [&held](kj::ArrayPtr<const char> answer) {
    return Bytes(held, std::string_view(answer.begin(), answer.size()));
  };
  for (auto outcome : from) readOutcome(outcome, keep, out.emplace_back());
  return out;
}

}  // namespace

void Batch::add(MethodId method, kj::ArrayPtr<const capnp::word> words, kj::TimePoint deadline,
                kj::Function<void(Outcome&&)>&& done) {
  kj::ArrayPtr<const kj::byte> bytes = words.asBytes();
  size_t firstByte = params.size();
  params.insert(params.end(), bytes.begin(), bytes.end());
  Call& call = calls.emplace_back();
  call.method = method;
  call.firstByte = firstByte;
  call.byteCount = bytes.size();
  call.deadline = deadline;
  call.done = kj::mv(done);
}

void Batch::fetchRoom(size_t byteCount) const {
  if (calls.size() < calls.capacity()) fetchToWrite(calls.data() + calls.size(), sizeof(Call));
  if (params.size() + byteCount <= params.capacity()) {
    fetchToWrite(params.data() + params.size(), byteCount);
  }
}

void Batch::dropEnded() {
  std::erase_if(calls, [](const Call& call) { return call.ended; });
}

Batch Batch::takeFirst(size_t count) {
  Batch first;
  first.freshness = freshness;
  first.serial = serial;
  serial += count;
  auto end = calls.begin() + static_cast<std::ptrdiff_t>(count);
  first.calls.assign(std::move_iterator(calls.begin()), std::move_iterator(end));
  calls.erase(calls.begin(), end);
  for (Call& call : first.calls) {
    auto from = params.begin() + static_cast<std::ptrdiff_t>(call.firstByte);
    call.firstByte = first.params.size();
    first.params.insert(first.params.end(), from,
                        from + static_cast<std::ptrdiff_t>(call.byteCount));
  }
  return first;
}

size_t Batch::wireWords() const {
  return params.size() / sizeof(capnp::word) + calls.size() * kCommandWords;
}

void Batch::write(capnp::List<schema::Command>::Builder to, uint64_t acknowledgedBelow) const {
  unsigned at = 0;
  for (const Call& call : calls) {
    auto command = to[at++];
    if (call.session != 0) {
      auto stamp = command.initStamp();
      stamp.setSession(call.session);
      stamp.setSequence(call.sequence);
      stamp.setAcknowledgedBelow(acknowledgedBelow);
    }
    command.setInterfaceId(call.method.interfaceId);
    command.setMethod(call.method.method);
    command.setParams(paramsOf(*this, call));
  }
}

capnp::RemotePromise<schema::Group::SubmitResults> Batch::submit(schema::Group::Client& group,
                                                                 uint64_t acknowledgedBelow) const {
  auto request = group.submitRequest(sizeOf(*this));
  write(request.initCommands(static_cast<unsigned>(calls.size())), acknowledgedBelow);
  return request.send();
}

capnp::RemotePromise<schema::Group::QueryResults> Batch::query(schema::Group::Client& group) const {
  auto request = group.queryRequest(sizeOf(*this));
  auto questions = request.initQuestions(static_cast<unsigned>(calls.size()));
  unsigned at = 0;
  for (const Call& call : calls) {
    auto question = questions[at++];
    question.setInterfaceId(call.method.interfaceId);
    question.setMethod(call.method.method);
    question.setParams(paramsOf(*this, call));
  }
  auto wanted = request.initFreshness();
  switch (freshness.kind) {
    case Freshness::Kind::linearizable:
      wanted.setLinearizable();
      break;
    case Freshness::Kind::lease:
      wanted.setLease();
      break;
    case Freshness::Kind::stale:
      wanted.setStaleMaxAgeMs(freshness.maxAgeMs);
      break;
  }
  return request.send();
}

std::vector<Outcome> outcomesOf(capnp::Response<schema::Group::SubmitResults>&& response) {
  return outcomes(kj::mv(response));
}

std::vector<Outcome> outcomesOf(capnp::Response<schema::Group::QueryResults>&& response) {
  return outcomes(kj::mv(response));
}

}  // namespace flotilla::client
