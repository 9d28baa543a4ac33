"""Typed configuration sections. A program's configuration is a flat mapping; its class inherits the sections it needs.

Every key is one field here, with its type, bounds, default and one line of help. Functions take the section they use
(``def open_source(config: KafkaConfig)``), never the whole and never a global. ``cli/options.py`` fills these classes
from a YAML file, ``MSREC_<KEY>`` environment variables and ``--key value`` arguments.
"""

from typing import Any, Dict, Literal, Optional, Tuple

from pydantic import BaseModel, ByteSize, ConfigDict, Field, PositiveInt, model_validator


class UserError(Exception):
    """Something the user can put right, told in one line: ``run_cli`` prints it without a traceback."""

    exit_status = 1


class ConfigError(UserError):
    """A configuration key that is unknown or has a value it must not have."""

    exit_status = 2


class Section(BaseModel):
    """Base of all sections: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class KafkaConfig(Section):
    """Where the log is and which client talks to it."""

    bootstrap_servers: str = Field("localhost:9092", description="Kafka brokers, host:port[,host:port]")
    topic: str = Field("criteo", min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$", description="topic name")
    kafka_client: Literal["confluent", "kafka-python"] = Field("confluent", description="client library")
    kafka: Dict[str, Any] = Field(
        default_factory=dict, description="client settings passed through as they are (SASL, TLS, timeouts), as a map"
    )
    broker_timeout: float = Field(10.0, gt=0, description="seconds to wait for the broker at start")


class RowConfig(Section):
    """Columns of a raw row and the scaling of its numbers."""

    numeric_transform: Optional[Literal["minmax", "log1p"]] = Field(
        None, description="scaling of numbers; default: minmax with dictionaries, log1p without"
    )
    dense_dim: int = Field(13, ge=0, le=1000, description="number fields in a row")
    slot_dim: int = Field(26, ge=1, le=1000, description="category fields in a row")


class FeatureConfig(RowConfig):
    """How a raw row becomes ids and weights."""

    dictionary: Optional[str] = Field(None, description="dictionary.safetensors of process_data.py: dictionary ids")
    max_dict: Optional[str] = Field(None, description="all_val_max_dict.pkl; with the two others: the same")
    min_dict: Optional[str] = Field(None, description="all_val_min_dict.pkl")
    map_dict: Optional[str] = Field(None, description="cat2id_dict.pkl")
    hash_seed: int = Field(0, ge=0, lt=2**32, description="seed of the id hash")
    engine: Literal["numba", "pandas"] = Field("numba", description="feature engine")


class ProcessConfig(RowConfig):
    """Statistics, dictionaries and training files of a data set (datasets/criteo_1tb/process_data.py)."""

    data_path: str = Field("data", min_length=1, description="folder of the data files, plain or .gz, and of results")
    pattern: str = Field("day_*", min_length=1, description="names of the data files in it")
    part_num: int = Field(8, ge=1, le=100000, description="training files, and test files, the rows are cut into")
    threshold: int = Field(6, ge=1, description="values seen fewer times share the OOV id of their field")
    test_size: float = Field(0.1, ge=0, le=1, description="share of rows that go to the test files")
    split_seed: int = Field(1, ge=0, lt=2**64, description="which rows those are")
    workers: int = Field(0, ge=0, le=1024, description="threads that count, processes that write; 0: one a core")
    memory: ByteSize = Field(ByteSize(4 << 30), ge=256 << 20, description="to count in; more spills less to disk")
    format: Literal["mindrecord", "parquet", "none"] = Field("mindrecord", description="of the training files")
    sample_rows: int = Field(1000, ge=1, le=1000000, description="rows in a sample of a MindRecord file")
    max_bad: float = Field(0.01, ge=0, le=1, description="share of malformed rows above which it is an error")


class ChannelConfig(Section):
    """The link between consumer and trainer."""

    address: str = Field("127.0.0.1", min_length=1, description="host of the consumer")
    port: int = Field(45600, ge=1, le=65000, description="first port; consumer k, shard s: port + k * num_shards + s")
    namespace: str = Field("default", min_length=1, description="channel namespace; both sides must agree")
    dataset_name: str = Field("criteo", min_length=1, description="data set name; both sides must agree")
    num_shards: int = Field(1, ge=1, le=4096, description="shards, one a trainer rank")
    num_consumers: int = Field(1, ge=1, le=1024, description="consumer processes that share the topic")
    max_queue_size: int = Field(10, ge=1, le=10000, description="windows in flight per partition, then senders wait")
    channel_keys: Optional[str] = Field(None, min_length=1, description="folder of this side's CURVE keys; null: none")


class StreamConfig(Section):
    """The synthetic click stream."""

    seed: int = Field(7, ge=0, lt=2**64, description="seed of the synthetic stream")
    drift: float = Field(0.0, ge=0, le=100, description="how often the hidden model is replaced, per million rows")
    churn: float = Field(0.0, ge=0, le=100, description="share of long-tail ids that die and are replaced, likewise")


class ProducerConfig(KafkaConfig, StreamConfig):
    """The program that fills the topic."""

    data_file: Optional[str] = Field(None, description="Criteo TSV, plain or .gz; default: the synthetic stream")
    partitions: int = Field(2, ge=1, le=10000, description="partitions of the topic when it is created")
    format: Literal["block", "tsv", "json"] = Field("block", description="message format")
    block_rows: int = Field(1000, ge=1, le=100000, description="rows in a block message")
    rate: float = Field(0.0, ge=0, description="rows a second; 0: as fast as the broker takes them")
    limit: int = Field(0, ge=0, description="stop before this source row; 0: at the end of the file, or never")


class SyntheticConfig(StreamConfig):
    """Day files of the synthetic stream."""

    output: str = Field("run/synthetic", min_length=1, description="folder of the files; begun again, work goes on")
    days: int = Field(1, ge=1, le=10000, description="day files")
    rows_per_day: int = Field(1000000, ge=1, le=1000000000, description="rows in a day file, some 245 bytes each")
    gzip: bool = Field(False, description="compress the day files to .tsv.gz")


class SkipGramConfig(Section):
    """Training rows of recall/word2vec, made of text."""

    text_file: str = Field("text.txt", min_length=1, description="text, a sentence a line, words split by spaces")
    rows_file: str = Field("data/train/part-0", min_length=1, description="file of the rows")
    window: int = Field(5, ge=1, le=1000, description="context words to each side of a word, at most")
    negatives: int = Field(5, ge=1, le=1000, description="drawn words for each context word")
    min_count: int = Field(5, ge=1, description="words seen fewer times are left out")
    frequent: float = Field(
        0.0, ge=0, le=1, description="share of a text above which words are left out at random; 0: none"
    )
    draw_seed: int = Field(0, ge=0, lt=2**63, description="seed of what is drawn")


class ConsumerConfig(KafkaConfig, FeatureConfig, ChannelConfig):
    """The program that turns messages into windows of ids and weights."""

    bind: Optional[str] = Field(
        None, min_length=1, description="listen on this address, also beyond loopback; null: address, a loopback one"
    )
    window_size: int = Field(1000, ge=1, le=1000000, description="rows in a window")
    consumer_index: int = Field(0, ge=0, description="which of num_consumers this one is")
    until_end: bool = Field(False, description="stop at the end the topic has now (replay)")
    dead_letter_file: Optional[str] = Field(None, description="file for bad rows; default: the topic <topic>.dlq")


class TableConfig(Section):
    """Embedding tables: which ids get a row and which lose it, and how large the tables may become."""

    admit_after: int = Field(1, ge=1, le=65535, description="occurrences of an id before it gets a row")
    admit_memory: ByteSize = Field(
        ByteSize(0), description="counts them in a sketch of this size, which does not grow; 0: exactly"
    )
    admit_probability: float = Field(1.0, gt=0, le=1, description="instead: chance of each occurrence to get the row")
    admit_wide: bool = Field(False, description="ids wait for admission in the wide part too; false: they train there")
    evict_after: str = Field(
        "", pattern=r"^(\d{1,9}(step|s|min|h|d))?$", description="ids unseen so long lose their row: 30d, 12h, 9000step"
    )
    max_table_rows: int = Field(0, ge=0, lt=2**31, description="rows of a table; 0: no bound but memory")
    max_table_bytes: ByteSize = Field(
        ByteSize(0), description="memory of a table; 0: no bound but 80 % of the host's for all tables"
    )
    when_full: Literal["refuse", "least_recent", "least_frequent"] = Field(
        "refuse", description="a full table refuses new ids, or evicts those seen longest ago or least often"
    )
    row_type: Literal["float32", "bfloat16", "float16"] = Field("float32", description="how embeddings are kept")
    statistics: bool = Field(False, description="count how often ids were shown and clicked also where no rule asks")


class ModelConfig(TableConfig):
    """Wide&Deep (Cheng et al. 2016) and its optimizers."""

    num_fields: int = Field(39, ge=1, le=2000, description="fields in a row: dense_dim + slot_dim of the consumer")
    emb_dim: int = Field(16, ge=1, le=4096, description="embedding size of the deep part")
    layers: Tuple[PositiveInt, ...] = Field((1024, 512, 256, 128), min_length=1, description="hidden layer sizes")
    batch_size: int = Field(4096, ge=1, le=1000000, description="rows in a training batch")
    dense_learning_rate: float = Field(1e-3, gt=0, description="Adam learning rate of the deep layers")
    deep_optimizer: Literal["adam", "adagrad", "shared_adagrad"] = Field(
        "adam", description="sparse optimizer of the deep embeddings"
    )
    deep_learning_rate: float = Field(1e-3, gt=0, description="its learning rate")
    deep_init: float = Field(0.01, ge=0, description="new embeddings are drawn from [-deep_init, deep_init]")
    deep_bound: float = Field(0.0, ge=0, le=1e30, description="embeddings are kept within +-deep_bound; 0: not")
    wide_learning_rate: float = Field(0.05, gt=0, description="FTRL alpha of the wide part")
    wide_beta: float = Field(1.0, ge=0, description="FTRL beta")
    wide_l1: float = Field(0.0, ge=0, description="FTRL lambda_1")
    wide_l2: float = Field(0.0, ge=0, description="FTRL lambda_2")
    exact_rows: int = Field(
        0, ge=0, description="computed at a time, summed in 64 bits: the same on any number of ranks; 0: all"
    )
    model_seed: int = Field(1, ge=0, lt=2**32, description="seed of the initial weights")


class PublishConfig(Section):
    """Publications: what servers follow."""

    publish_path: Optional[str] = Field(None, min_length=1, description="folder of the publications; null: none")
    publish_seconds: float = Field(2.0, gt=0, description="seconds between them")
    publish_full_every: int = Field(150, ge=1, description="deltas after which a full one is made of the last and them")
    publish_keep: int = Field(2, ge=1, description="newest full ones kept, with the deltas after them")
    publish_min_show: float = Field(
        0.0, ge=0, description="only rows whose ids were shown so often; 0: all (else with statistics)"
    )
    force: bool = Field(False, description="servers get also what the gate would hold back; it is marked all the same")


class GateConfig(Section):
    """When a publication is held back: its figures are outside of what those before it let expect."""

    gate_width: float = Field(6.0, ge=0, le=100, description="standard deviations to the ends of a band; 0: no gate")
    gate_tolerance: float = Field(0.01, ge=0, le=1, description="share of a figure by which it may change anyway")
    gate_weight: float = Field(0.1, gt=0, le=1, description="of the newest interval in its mean and deviation")
    gate_min_rows: int = Field(10000, ge=1, description="rows to judge by; shorter intervals are gathered")
    gate_warmup: int = Field(20, ge=2, le=100000, description="intervals judged before anything is held back")


class MonitorConfig(Section):
    """Where the trainer's figures can be seen."""

    metrics_port: int = Field(0, ge=0, le=65535, description="port where Prometheus reads metrics; 0: none")
    metrics_host: str = Field("127.0.0.1", min_length=1, description="address that this port is bound to")
    tensorboard_path: Optional[str] = Field(None, min_length=1, description="folder of TensorBoard events; null: none")


class TrainConfig(ChannelConfig, ModelConfig, PublishConfig, GateConfig, MonitorConfig):
    """The training service."""

    device_target: Literal["CPU", "GPU"] = Field("CPU", description="where the dense part runs")
    nice: int = Field(0, ge=0, le=19, description="give way to other programs of this machine, such as a server")
    dataset_sink_mode: bool = Field(True, description="sink batches to the device queue (the CPU feeds instead)")
    sink_size: int = Field(1, description="batches a sink; only 1 is supported")
    max_wait: float = Field(1.0, ge=0, description="seconds before a short batch is trained; 0: only full ones")
    staleness: int = Field(
        0, ge=0, le=1, description="1: several ranks fetch the next batch's rows while they compute one, a step older"
    )
    start: str = Field("earliest", description="a first run begins at earliest, latest, or an ISO time")
    max_rows: int = Field(0, ge=0, description="stop after this many rows, trained or rejected; 0: never")
    checkpoint_path: str = Field("checkpoints", min_length=1, description="folder of the checkpoints")
    checkpoint_steps: int = Field(0, ge=0, description="a full checkpoint every N steps; 0: by time only")
    checkpoint_seconds: float = Field(600.0, ge=0, description="a full checkpoint every T seconds; 0: by steps only")
    delta_steps: int = Field(0, ge=0, description="one of what changed every N steps; 0: by time only")
    delta_seconds: float = Field(10.0, ge=0, description="one of what changed every T seconds; 0: by steps only")
    keep_checkpoints: int = Field(3, ge=1, description="newest full checkpoints kept, with the deltas after them")
    keep_every: int = Field(0, ge=0, description="besides them one of so many is kept for good; 0: none")
    audit_rows: bool = Field(False, description="count in the state how often each source row was trained (debugging)")
    resume: str = Field("auto", description="auto: newest complete checkpoint; none: start new; or a checkpoint folder")
    metrics_window: int = Field(100000, ge=1, description="rows of the progressive AUC, log loss and calibration")
    report_seconds: float = Field(2.0, gt=0, description="seconds between progress lines")

    @model_validator(mode="after")
    def _check_exactness(self) -> "TrainConfig":
        if self.staleness and self.exact_rows:
            raise ValueError(f"staleness = {self.staleness}: expected 0 where exact_rows is {self.exact_rows}")
        return self
