// Sends one parcel to a group by its id, as a client may that was never given the group by name,
// and prints what came of it: courier-probe ADDRESS TOKEN-FILE GROUP-ID INCARNATION
#include <cstdio>
#include <cstdlib>
#include <string>

#include <kj/encoding.h>

#include "flotilla/result.h"
#include "schemas/client.capnp.h"
#include "tests/process/probe_login.h"

namespace {

namespace schema = flotilla::schema;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"  // Cap'n Proto's servers have none
class Receiver final : public schema::CourierReceiver::Server {
public:
  explicit Receiver(kj::Own<kj::PromiseFulfiller<std::string>> told) : told_(kj::mv(told)) {}

protected:
  kj::Promise<void> deliver(DeliverContext context) override {
    for (auto answer : context.getParams().getAnswers()) {
      if (!answer.isFault() && answer.getOutcomes()[0].isAnswer()) {
        told_->fulfill("outcomes ok");
        continue;
      }
      auto fault = answer.isFault() ? answer.getFault() : answer.getOutcomes()[0].getFault();
      std::string words = answer.isFault() ? "fault " : "outcomes ";
      words += nameOf(static_cast<flotilla::ErrorCode>(fault.getCode()));
      words += std::string(" ") + fault.getText().cStr();
      told_->fulfill(kj::mv(words));
    }
    return kj::READY_NOW;
  }

private:
  kj::Own<kj::PromiseFulfiller<std::string>> told_;
};
#pragma GCC diagnostic pop

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) return 2;
  auto params = kj::decodeHex(kj::StringPtr(argv[7]));
  try {
    flotilla::test::ProbeLogin session(argv[1], argv[2]);
    auto told = kj::newPromiseAndFulfiller<std::string>();
    auto open = session.host.openCourierRequest();
    open.setReceiver(kj::heap<Receiver>(kj::mv(told.fulfiller)));
    auto courier = open.send().wait(session.io.waitScope).getCourier();
    auto submit = courier.submitRequest();
    auto parcel = submit.initParcels(1)[0];
    parcel.setNumber(1);
    parcel.setGroup(std::strtoull(argv[3], nullptr, 10));
    parcel.setIncarnation(std::strtoull(argv[4], nullptr, 10));
    auto command = parcel.initCommands(1)[0];
    command.setInterfaceId(std::strtoull(argv[5], nullptr, 16));
    command.setMethod(static_cast<uint16_t>(std::strtoul(argv[6], nullptr, 10)));
    command.setParams(params);
    submit.send().wait(session.io.waitScope);
    std::printf("%s\n", told.promise.wait(session.io.waitScope).c_str());
    return 0;
  } catch (const kj::Exception& exception) {
    std::printf("exception %s\n", exception.getDescription().cStr());
    return 1;
  }
}
