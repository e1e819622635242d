# Class weights by night: larger for classes that are rare in Cityscapes (DANNet). `sigma` is
# their standard deviation: small in training, larger in the prediction.
class_frequencies = [
    0.36869696, 0.06084986, 0.22824049, 0.00655399, 0.00877272, 0.01227341, 0.00207795,
    0.0055127, 0.15928651, 0.01157818, 0.04018982, 0.01218957, 0.00135122, 0.06994545,
    0.00267456, 0.00235192, 0.00232904, 0.00098658, 0.00413907,
]  # fmt: skip
train_class_weight = dict(frequencies=class_frequencies, sigma=0.05)
test_class_weight = dict(frequencies=class_frequencies, sigma=0.16)
