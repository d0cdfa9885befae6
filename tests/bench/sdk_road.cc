// The bench's calls through sdk/client.
#include <cstring>

#include <kj/debug.h>

#include "kv.capnp.h"
#include "sdk/client/fault_text.h"
#include "tests/bench/road.h"

namespace flotilla::bench {
namespace {

#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // kj's ErrorHandler has none

constexpr uint16_t kPut = 0;
constexpr uint16_t kGet = 1;

kj::ArrayPtr<const kj::byte> bytesOf(std::string_view text) {
  return kj::arrayPtr(reinterpret_cast<const kj::byte*>(text.data()), text.size());
}

// A call's parameters, built again and again in the same words.
class Params {
public:
  template <typename T, typename Fill>
  kj::ArrayPtr<const capnp::word> build(size_t bytes, Fill fill) {
    size_t words = 8 + (bytes + 2 * sizeof(capnp::word)) / sizeof(capnp::word);
    if (scratch_.size() < words) {
      scratch_ = kj::heapArray<capnp::word>(words);
      used_ = words;
    }
    std::memset(static_cast<void*>(scratch_.begin()), 0, used_ * sizeof(capnp::word));
    capnp::FlatMessageBuilder message(scratch_);
    fill(message.initRoot<T>());
    auto segment = message.getSegmentsForOutput()[0];
    used_ = segment.size();
    return segment;
  }

private:
  kj::Array<capnp::word> scratch_;
  size_t used_ = 0;  // the builder wants what it is given empty
};

// A callback a call, or, with `typed`, a promise a call.
class SdkRoad final : public Road, private kj::TaskSet::ErrorHandler {
public:
  SdkRoad(kj::AsyncIoContext& io, const client::ClientOptions& access, const Options& options,
          Sink& sink)
      : client_(io, access), typed_(options.typed), sink_(sink), tasks_(*this) {
    for (uint32_t group = 0; group < options.groups; ++group) {
      groups_.push_back(client_.group(options.groupName(group)));
      if (typed_) services_.push_back(groups_.back()->as<Kv>());
    }
  }

  // One get a group finds its leader.
  kj::Promise<void> open() override {
    auto all = kj::heapArrayBuilder<kj::Promise<void>>(groups_.size());
    for (auto& group : groups_) {
      auto params =
          params_.build<Kv::GetParams>(1, [](Kv::GetParams::Builder to) { to.setKey("-"); });
      all.add(group->query({capnp::typeId<Kv>(), kGet}, params).then([](client::Outcome&& outcome) {
        if (!outcome.ok()) kj::throwFatalException(client::exceptionOf(*outcome.fault));
      }));
    }
    return kj::joinPromises(all.finish());
  }

  void put(const Call& call, std::string_view key, std::string_view value) override {
    if (typed_) return putTyped(call, key, value);
    auto params = params_.build<Kv::PutParams>(
        key.size() + value.size() + 16, [&](Kv::PutParams::Builder to) {
          to.setKey(capnp::Text::Reader(key.data(), key.size()));
          to.setValue(bytesOf(value));
        });
    groups_[call.key.group]->call(
        {capnp::typeId<Kv>(), kPut}, params, [this, call](client::Outcome&& outcome) {
          sink_.ended(call, {outcome.ok() ? nullptr : &*outcome.fault, false, {}});
        });
  }

  void get(const Call& call, std::string_view key) override {
    if (typed_) return getTyped(call, key);
    auto params = params_.build<Kv::GetParams>(key.size() + 8, [&](Kv::GetParams::Builder to) {
      to.setKey(capnp::Text::Reader(key.data(), key.size()));
    });
    groups_[call.key.group]->query({capnp::typeId<Kv>(), kGet}, params, {},
                                   [this, call](client::Outcome&& outcome) { got(call, outcome); });
  }

private:
  void got(const Call& call, client::Outcome& outcome) {
    if (!outcome.ok()) return sink_.ended(call, {&*outcome.fault, false, {}});
    client::FlatMessage message(std::move(outcome.answer));
    auto results = message.root<Kv::GetResults>();
    sink_.ended(call, {nullptr, results.getFound(), bytes(results.getValue())});
  }

  void failed(const Call& call, const kj::Exception& exception) {
    Fault fault = client::faultOf(exception);
    sink_.ended(call, {&fault, false, {}});
  }

  void putTyped(const Call& call, std::string_view key, std::string_view value) {
    auto request = services_[call.key.group].putRequest();
    request.setKey(capnp::Text::Reader(key.data(), key.size()));
    request.setValue(bytesOf(value));
    tasks_.add(
        request.send().then([this, call](auto&&) { sink_.ended(call, {}); },
                            [this, call](kj::Exception&& exception) { failed(call, exception); }));
  }

  void getTyped(const Call& call, std::string_view key) {
    auto request = services_[call.key.group].getRequest();
    request.setKey(capnp::Text::Reader(key.data(), key.size()));
    tasks_.add(request.send().then(
        [this, call](auto&& response) {
          sink_.ended(call, {nullptr, response.getFound(), bytes(response.getValue())});
        },
        [this, call](kj::Exception&& exception) { failed(call, exception); }));
  }

  void taskFailed(kj::Exception&& exception) override { KJ_LOG(ERROR, exception); }

  static std::string_view bytes(capnp::Data::Reader data) {
    auto chars = data.asChars();
    return {chars.begin(), chars.size()};
  }

  client::Client client_;
  bool typed_;
  Sink& sink_;
  std::vector<kj::Own<client::GroupClient>> groups_;
  std::vector<Kv::Client> services_;
  Params params_;
  kj::TaskSet tasks_;
};

}  // namespace

std::unique_ptr<Road> sdkRoad(kj::AsyncIoContext& io, const client::ClientOptions& access,
                              const Options& options, Sink& sink) {
  return std::make_unique<SdkRoad>(io, access, options, sink);
}

}  // namespace flotilla::bench
